//! From a term, as jaq's parser gives it, to a plan.
//!
//! This file decides what is in the subset: all that is not named here is refused, with the name of the construct, so that
//! an author can be told why her program is jaq's to run. Definitions are put where they are called; one that calls itself
//! never comes to an end that way, and is refused by its depth.

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern as Bound, Term},
    },
    path::{Opt, Part as Access, Path},
};

use super::{
    forms::Form,
    functions::{self, Callable},
    plan::{Name, Node, Op, Part, Pattern, Plan, Step},
};
use crate::map::compile::GLOBALS;

/// The most nodes of a plan.
pub(crate) const MAX_NODES: usize = 4096;

/// How many definitions may call each other in a row.
const MAX_CALLS: usize = 24;

/// What in a program is not for the direct evaluator: the construct, as an author would name it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub String);

/// Lowers a program that jaq's compiler accepts.
///
/// Recurses as deep as the program nests: call it where there is stack for that.
pub(crate) fn lower<'t>(term: &'t Term<&'t str>) -> Result<Plan, Refused> {
    let mut lowering = Lowering { slots: GLOBALS.len(), reads: [false; GLOBALS.len()], nodes: 0, calls: 0 };
    let body = lowering.node(term, None)?;
    Ok(Plan { body, slots: lowering.slots, reads: lowering.reads })
}

fn refused<T>(what: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(what.into()))
}

struct Lowering {
    slots: usize,
    reads: [bool; GLOBALS.len()],
    nodes: usize,
    calls: usize,
}

/// What a name means at some place of a program: the innermost meaning first.
#[derive(Clone, Copy)]
struct Scope<'s, 't> {
    name: &'t str,
    meaning: Meaning<'s, 't>,
    outer: Option<&'s Self>,
}

#[derive(Clone, Copy)]
enum Meaning<'s, 't> {
    Slot(usize),
    /// A definition. It means what it means where it stands, the definition itself included.
    Definition(&'t Def<&'t str>),
    /// The argument of a definition: a term, with what names mean where it was written.
    Argument(&'t Term<&'t str>, Option<&'s Scope<'s, 't>>),
}

impl Lowering {
    fn node<'t>(&mut self, term: &'t Term<&'t str>, scope: Option<&Scope<'_, 't>>) -> Result<Node, Refused> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return refused(format!("more than {MAX_NODES} terms, definitions counted where they are called"));
        }
        let op = match term {
            Term::Id => Op::Input,
            Term::Recurse => Op::Recurse,
            Term::Num(digits) => number(digits)?,
            Term::Str(None, parts) => self.text(parts, scope)?,
            Term::Str(Some(format), _) => return refused(format!("`{format} \"…\"`")),
            Term::Arr(None) => Op::Array(Box::new(Node::new(Op::Form(Form::Empty, Vec::new())))),
            Term::Arr(Some(items)) => Op::Array(self.boxed(items, scope)?),
            Term::Obj(fields) => self.object(fields, scope)?,
            Term::Neg(of) => Op::Negative(self.boxed(of, scope)?),
            Term::BinOp(l, op, r) => return self.operation(l, op, r, scope),
            Term::Label(..) | Term::Break(_) => return refused("`label`"),
            Term::Fold(name, ..) => return refused(format!("`{name}`")),
            Term::TryCatch(body, catch) => self.attempt(body, catch.as_deref(), scope)?,
            Term::IfThenElse(branches, otherwise) => {
                let mut lowered = Vec::with_capacity(branches.len());
                for (test, then) in branches {
                    lowered.push((self.node(test, scope)?, self.node(then, scope)?));
                }
                let otherwise = match otherwise {
                    Some(otherwise) => self.boxed(otherwise, scope)?,
                    None => Box::new(Node::new(Op::Input)),
                };
                Op::If(lowered, otherwise)
            }
            Term::Def(defs, body) => return self.defined(defs, body, scope),
            Term::Call(name, arguments) => return self.call(name, arguments, scope),
            Term::Var(name) => Op::Slot(self.variable(name, scope)?),
            Term::Path(base, path) => self.path(base, path, scope)?,
        };
        Ok(Node::new(op))
    }

    fn boxed<'t>(&mut self, term: &'t Term<&'t str>, scope: Option<&Scope<'_, 't>>) -> Result<Box<Node>, Refused> {
        self.node(term, scope).map(Box::new)
    }

    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn variable(&mut self, name: &str, scope: Option<&Scope<'_, '_>>) -> Result<usize, Refused> {
        let mut at = scope;
        while let Some(Scope { name: other, meaning, outer }) = at {
            if let Meaning::Slot(slot) = meaning
                && *other == name
            {
                return Ok(*slot);
            }
            at = *outer;
        }
        let global = GLOBALS.iter().position(|global| *global == name);
        match global.and_then(|global| Some((global, self.reads.get_mut(global)?))) {
            Some((global, reads)) => {
                *reads = true;
                Ok(global)
            }
            None => refused(format!("`{name}`")),
        }
    }

    fn text<'t>(
        &mut self,
        parts: &'t [StrPart<&'t str, Term<&'t str>>],
        scope: Option<&Scope<'_, 't>>,
    ) -> Result<Op, Refused> {
        let mut joined: Vec<Node> = Vec::new();
        for part in parts {
            let plain = match part {
                StrPart::Str(text) => (*text).to_owned(),
                StrPart::Char(c) => c.to_string(),
                StrPart::Term(term) => {
                    joined.push(self.node(term, scope)?);
                    continue;
                }
            };
            match joined.last_mut() {
                Some(Node { op: Op::Text(before), .. }) => *before = format!("{before}{plain}").into(),
                _ => joined.push(Node::new(Op::Text(plain.into()))),
            }
        }
        Ok(match joined.pop() {
            None => Op::Text("".into()),
            Some(Node { op: Op::Text(all), .. }) if joined.is_empty() => Op::Text(all),
            Some(last) => {
                joined.push(last);
                Op::Join(joined)
            }
        })
    }

    fn object<'t>(
        &mut self,
        fields: &'t [(Term<&'t str>, Option<Term<&'t str>>)],
        scope: Option<&Scope<'_, 't>>,
    ) -> Result<Op, Refused> {
        let mut lowered = Vec::with_capacity(fields.len());
        for (key, value) in fields {
            let field = match (key, value) {
                (Term::Var(name), None) => {
                    let bare = name.trim_start_matches('$');
                    (Name::Fixed(bare.into()), Node::new(Op::Slot(self.variable(name, scope)?)))
                }
                (key, None) => {
                    let Node { op: Op::Text(name), .. } = self.node(key, scope)? else {
                        return refused("`{\"…\\(…)\"}` without a value");
                    };
                    let step = Step { part: Part::Key(name.clone()), is_optional: false };
                    let value = Node::new(Op::Path(Box::new(Node::new(Op::Input)), vec![step]));
                    (Name::Fixed(name), value)
                }
                (key, Some(value)) => {
                    let name = match self.node(key, scope)? {
                        Node { op: Op::Text(name), .. } => Name::Fixed(name),
                        computed if computed.is_single => Name::Computed(computed),
                        _ => return refused("a key of an object that may have several values"),
                    };
                    (name, self.node(value, scope)?)
                }
            };
            lowered.push(field);
        }
        Ok(Op::Object(lowered))
    }

    fn operation<'t>(
        &mut self,
        l: &'t Term<&'t str>,
        op: &'t BinaryOp<&'t str>,
        r: &'t Term<&'t str>,
        scope: Option<&Scope<'_, 't>>,
    ) -> Result<Node, Refused> {
        let op = match op {
            BinaryOp::Pipe(None) => Op::Pipe(self.boxed(l, scope)?, self.boxed(r, scope)?),
            BinaryOp::Pipe(Some(pattern)) => {
                let source = self.boxed(l, scope)?;
                let mut bound = Vec::new();
                let pattern = self.pattern(pattern, &mut bound)?;
                let body = self.under(&bound, scope, |this, scope| this.boxed(r, scope))?;
                Op::Bind(source, pattern, body)
            }
            BinaryOp::Comma => Op::Comma(self.boxed(l, scope)?, self.boxed(r, scope)?),
            BinaryOp::Alt => Op::Alternative(self.boxed(l, scope)?, self.boxed(r, scope)?),
            BinaryOp::Or => Op::Logic(self.boxed(l, scope)?, true, self.boxed(r, scope)?),
            BinaryOp::And => Op::Logic(self.boxed(l, scope)?, false, self.boxed(r, scope)?),
            BinaryOp::Math(math) => Op::Math(self.boxed(l, scope)?, *math, self.boxed(r, scope)?),
            BinaryOp::Cmp(cmp) => Op::Compare(self.boxed(l, scope)?, *cmp, self.boxed(r, scope)?),
            BinaryOp::Assign => return refused("`=`"),
            BinaryOp::Update => return refused("`|=`"),
            BinaryOp::UpdateMath(math) => return refused(format!("`{}=`", math.as_str())),
            BinaryOp::UpdateAlt => return refused("`//=`"),
        };
        Ok(Node::new(op))
    }

    /// What a value is bound to, and the names that it is then known by, in `bound`.
    fn pattern<'t>(
        &mut self,
        pattern: &'t Bound<&'t str>,
        bound: &mut Vec<(&'t str, usize)>,
    ) -> Result<Pattern, Refused> {
        let parts = match pattern {
            Bound::Var(name) => {
                let slot = self.slot();
                bound.push((name, slot));
                return Ok(Pattern::Slot(slot));
            }
            Bound::Arr(items) => {
                let items = items.iter().enumerate();
                let items = items.map(|(i, item)| Ok((index(i)?, self.pattern(item, bound)?)));
                items.collect::<Result<_, _>>()?
            }
            Bound::Obj(fields) => {
                let mut parts = Vec::with_capacity(fields.len());
                for (key, value) in fields {
                    let Node { op: Op::Text(name), .. } = self.node(key, None)? else {
                        return refused("`as {(…): …}`");
                    };
                    parts.push((Part::Key(name), self.pattern(value, bound)?));
                }
                parts
            }
        };
        Ok(Pattern::Parts(parts))
    }

    /// Lowers something in which the names of `bound` are known as well.
    fn under<'t, T>(
        &mut self,
        bound: &[(&'t str, usize)],
        scope: Option<&Scope<'_, 't>>,
        lower: impl FnOnce(&mut Self, Option<&Scope<'_, 't>>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let Some(((name, slot), rest)) = bound.split_first() else { return lower(self, scope) };
        let inner = Scope { name, meaning: Meaning::Slot(*slot), outer: scope };
        self.under(rest, Some(&inner), lower)
    }

    fn attempt<'t>(
        &mut self,
        body: &'t Term<&'t str>,
        catch: Option<&'t Term<&'t str>>,
        scope: Option<&Scope<'_, 't>>,
    ) -> Result<Op, Refused> {
        let body = self.boxed(body, scope)?;
        let catch = match catch {
            None => None,
            Some(catch) => {
                let catch = self.boxed(catch, scope)?;
                let reads_message = !matches!(
                    catch.op,
                    Op::Null
                        | Op::Bool(_)
                        | Op::Int(_)
                        | Op::Decimal(_)
                        | Op::Text(_)
                        | Op::Slot(_)
                        | Op::Form(Form::Empty, _)
                );
                if reads_message {
                    return refused("`catch` with more than a value");
                }
                Some(catch)
            }
        };
        Ok(Op::Try(body, catch))
    }

    fn defined<'t>(
        &mut self,
        defs: &'t [Def<&'t str>],
        body: &'t Term<&'t str>,
        scope: Option<&Scope<'_, 't>>,
    ) -> Result<Node, Refused> {
        let Some((def, rest)) = defs.split_first() else { return self.node(body, scope) };
        let inner = Scope { name: def.name, meaning: Meaning::Definition(def), outer: scope };
        self.defined(rest, body, Some(&inner))
    }

    fn call<'t>(
        &mut self,
        name: &'t str,
        arguments: &'t [Term<&'t str>],
        scope: Option<&Scope<'_, 't>>,
    ) -> Result<Node, Refused> {
        let mut at = scope;
        while let Some(here) = at {
            match here.meaning {
                Meaning::Argument(term, written) if here.name == name && arguments.is_empty() => {
                    return self.node(term, written);
                }
                Meaning::Definition(def) if here.name == name && def.args.len() == arguments.len() => {
                    if self.calls == MAX_CALLS {
                        return refused(format!("the definition `{name}`, which calls itself or many others"));
                    }
                    self.calls += 1;
                    let called = self.called(def, Some(here), arguments, scope, &def.args);
                    self.calls -= 1;
                    return called;
                }
                _ => at = here.outer,
            }
        }
        let Some(callable) = functions::find(name, arguments.len()) else { return refused(format!("`{name}`")) };
        let mut lowered = Vec::with_capacity(arguments.len());
        for argument in arguments {
            lowered.push(self.node(argument, scope)?);
        }
        Ok(match callable {
            Callable::Native(native) => Node::new(Op::Call(native, lowered)),
            Callable::Form(form) => Node::new(Op::Form(*form, lowered)),
            Callable::Op(op) => Node::new(op()),
        })
    }

    /// The body of `def`, known in `inner`, where `arguments`, written in `outer`, stand for `names`.
    fn called<'t>(
        &mut self,
        def: &'t Def<&'t str>,
        inner: Option<&Scope<'_, 't>>,
        arguments: &'t [Term<&'t str>],
        outer: Option<&Scope<'_, 't>>,
        names: &'t [&'t str],
    ) -> Result<Node, Refused> {
        let (Some((argument, arguments)), Some((name, names))) = (arguments.split_first(), names.split_first()) else {
            return self.node(&def.body, inner);
        };
        if name.starts_with('$') {
            let (value, slot) = (self.boxed(argument, outer)?, self.slot());
            let inner = Scope { name, meaning: Meaning::Slot(slot), outer: inner };
            let body = self.called(def, Some(&inner), arguments, outer, names)?;
            return Ok(Node::new(Op::Bind(value, Pattern::Slot(slot), Box::new(body))));
        }
        let inner = Scope { name, meaning: Meaning::Argument(argument, outer), outer: inner };
        self.called(def, Some(&inner), arguments, outer, names)
    }

    fn path<'t>(
        &mut self,
        base: &'t Term<&'t str>,
        Path(parts): &'t Path<Term<&'t str>>,
        scope: Option<&Scope<'_, 't>>,
    ) -> Result<Op, Refused> {
        let base = self.boxed(base, scope)?;
        let mut steps = Vec::with_capacity(parts.len());
        for (access, optional) in parts {
            let part = match access {
                Access::Range(None, None) => Part::Each,
                Access::Range(from, to) => Part::Range(self.bound(from.as_ref())?, self.bound(to.as_ref())?),
                Access::Index(at) => {
                    let at = self.node(at, scope)?;
                    if !at.is_single {
                        return refused("an index that may have several values");
                    }
                    part(at)
                }
            };
            steps.push(Step { part, is_optional: matches!(optional, Opt::Optional) });
        }
        Ok(Op::Path(base, steps))
    }

    fn bound<'t>(&mut self, bound: Option<&'t Term<&'t str>>) -> Result<Option<isize>, Refused> {
        let Some(term) = bound else { return Ok(None) };
        match term {
            Term::Num(_) | Term::Neg(_) => match whole(&self.node(term, None)?.op) {
                Some(n) => Ok(Some(n)),
                None => refused("the bound of a slice that is not a whole number"),
            },
            _ => refused("the bound of a slice that is computed"),
        }
    }
}

fn whole(op: &Op) -> Option<isize> {
    match op {
        Op::Int(n) => Some(*n),
        Op::Negative(of) => whole(&of.op)?.checked_neg(),
        _ => None,
    }
}

/// Where an index leads.
fn part(at: Node) -> Part {
    match (whole(&at.op), at.op) {
        (Some(n), _) => Part::Index(n),
        (None, Op::Text(key)) => Part::Key(key),
        (None, op) => Part::At(Node::new(op)),
    }
}

fn index(i: usize) -> Result<Part, Refused> {
    isize::try_from(i).map(Part::Index).or_else(|_| refused("a pattern of that many items"))
}

fn number(digits: &str) -> Result<Op, Refused> {
    if let Ok(n) = digits.parse() {
        return Ok(Op::Int(n));
    }
    if let [b'0', b'0'..=b'9', ..] = digits.as_bytes() {
        return refused(format!("the number {digits}, which begins with a zero"));
    }
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
    Ok(if is_integer { Op::Big(digits.into()) } else { Op::Decimal(digits.into()) })
}
