//! A program's text, to something that can be run.
//!
//! This file decides what is a program: its size, its globals, and how an error in it is told. The text is read by
//! jaq's own lexer and parser and compiled by jaq's compiler; between the two, [`direct`] makes a plan of it, if it can, and
//! [`guard`] makes costs countable. The program becomes the last definition of the prelude, because that is where jaq takes parsed terms;
//! the main program of every mapping is then the one call of that definition.

use jaq_core::{
    Compiler, Filter,
    compile::Undefined,
    load::{
        Arena, File, Lexer, Loader, Parser,
        lex::{self, Token},
        parse::{self, Def, Term},
    },
};
use standpipe_protocol::refusal::{clip, did_you_mean};

use super::{
    direct::{self, Plan, Refused},
    guard,
    meter::Metered,
};

/// The longest program, in bytes.
pub(crate) const MAX_PROGRAM_BYTES: usize = 64 * 1024;

/// What every program may read besides its input, in the order in which a run gives the values.
pub(crate) const GLOBALS: [&str; 6] = ["$source", "$conn", "$event", "$params", "$received", "$state"];

/// The name under which jaq knows the program.
const MAIN: &str = "standpipe_mapping";

/// Where and why a text is not a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct MappingError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

/// A program that can be run.
pub(crate) struct Compiled {
    /// As jaq runs it.
    pub filter: Filter<Metered>,
    /// As it is run directly; or the first thing in it that cannot be.
    pub plan: Result<Plan, Refused>,
}

/// Compiles `program`.
///
/// The parser, the compiler and the destructors recurse as deep as the program nests: call it where there is stack for
/// [`MAX_PROGRAM_BYTES`] of nesting.
pub(crate) fn compile(program: &str) -> Result<Compiled, MappingError> {
    if program.len() > MAX_PROGRAM_BYTES {
        let message = format!("the program has {} bytes, at most {MAX_PROGRAM_BYTES} are read", program.len());
        return Err(MappingError { line: 1, column: 1, message });
    }
    let term = parse(program)?;
    let plan = direct::lower(&term);
    let body = guard::guarded(term);
    let main = Def { name: MAIN, args: Vec::new(), body };
    let (arena, file) = (Arena::default(), File { code: MAIN, path: () });
    let modules = Loader::new(guard::definitions().chain([main])).load(&arena, file);
    let modules = modules.map_err(|_| at(program, program, "the program cannot be loaded".to_owned()))?;
    let compiler = Compiler::default().with_funs(guard::functions()).with_global_vars(GLOBALS);
    let filter = compiler.compile(modules).map_err(|errors| {
        let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
        match first {
            Some((name, undefined)) => at(program, name, not_defined(name, &undefined)),
            None => at(program, program, "the program cannot be compiled".to_owned()),
        }
    })?;
    Ok(Compiled { filter, plan })
}

fn parse(program: &str) -> Result<Term<&str>, MappingError> {
    let tokens = Lexer::new(program).lex().map_err(|errors| match errors.into_iter().next() {
        Some((lex::Expect::Token, found)) => at(program, found, "no jq begins with this".to_owned()),
        Some((expected, found)) => at(program, found, format!("expected {}", expected.as_str())),
        None => at(program, program, "not a program".to_owned()),
    })?;
    let term = Parser::new(&tokens).parse(Parser::term);
    term.map_err(|errors| match errors.into_iter().next() {
        Some((expected, found)) => {
            let what = found.map_or_else(|| "the end".to_owned(), |Token(text, _)| format!("`{}`", clip(text)));
            let place = Token::opt_as_str(found, program);
            let expected = match expected {
                parse::Expect::Nothing => "an operator or the end",
                other => other.as_str(),
            };
            at(program, place, format!("expected {expected}, found {what}"))
        }
        None => at(program, program, "not a program".to_owned()),
    })
}

fn not_defined(name: &str, undefined: &Undefined) -> String {
    let Undefined::Filter(arity) = undefined else {
        let known = if matches!(undefined, Undefined::Var) { GLOBALS.join(", ") } else { String::new() };
        let hint = if known.is_empty() { known } else { format!("; given are {known}") };
        return format!("the {} `{name}` is not defined{hint}", undefined.as_str());
    };
    if guard::ABSENT.contains(&name) {
        return format!("`{name}` is not available in mappings");
    }
    let defined: Vec<&str> = guard::definitions().map(|def| def.name).collect();
    let native: Vec<&str> = guard::functions().map(|(name, ..)| name).collect();
    let known = || defined.iter().chain(&native).copied();
    if known().any(|other| other == name) {
        return format!("`{name}` is not defined with {arity} arguments");
    }
    let hint = did_you_mean(name, known()).map(|near| format!("; did you mean `{near}`?"));
    format!("`{name}` is not defined{}", hint.unwrap_or_default())
}

/// An error at `place`, which is a part of `program`.
fn at(program: &str, place: &str, message: String) -> MappingError {
    let offset = place.as_ptr().addr().checked_sub(program.as_ptr().addr());
    let before = offset.and_then(|offset| program.get(..offset)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    MappingError { line, column, message }
}
