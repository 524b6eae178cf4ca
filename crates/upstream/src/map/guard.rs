//! What programs call and operators become: the functions a mapping has, and the ones whose cost has to be counted.
//!
//! This file decides which of jq's functions exist for a mapping, and replaces those that could make a value of any
//! size in one step. jaq evaluates `+`, `*`, `[…]` and `"\(…)"` natively, where a [`Budget`] sees nothing: with
//! `.price * .qty`, a feed that sends `{"price": "1", "qty": 1e12}` would ask for a terabyte (in jq, text × number
//! repeats the text) and abort the process. So [`guarded`] rewrites a parsed program, and jaq's own definitions, to
//! call the functions below instead; they charge the budget and then do what jaq does. Same results, same order, same
//! errors.
//!
//! One difference is known: where the left operand of `+` or `*` fails and the right one gives nothing, jaq gives nothing,
//! and a mapping tells the failure.
//!
//! Not counted: one native call on one value (`sort`, `tojson`, `test`), whose cost is that of the value.

use jaq_core::{
    Bind,
    box_iter::box_once,
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    native::{Fun, bome, run, v},
    ops::Math,
    path::{Part, Path},
};
use jaq_json::{Num, Rc, Val};
use standpipe_protocol::topic::escape_token;

use super::meter::{Budget, Meter, Metered};
use crate::value::read;

type Ctx<'a> = jaq_core::Ctx<'a, Metered>;
type ValR = jaq_core::ValR<Val>;
type Error = jaq_core::Error<Val>;

/// What a mapping has not: it could end the process, reach outside of the frame, or depend on the machine.
pub(crate) const ABSENT: &[&str] = &[
    "halt",
    "halt_error",
    "env",
    "now",
    "input",
    "inputs",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "localtime",
    "strflocaltime",
];

// No program can write these names, so none can call the functions or shadow them.
const PLUS: &str = "+";
const TIMES: &str = "*";
const ARRAY: &str = "[]";
const OPERAND: &str = "$ operand";

/// What one element of an array holds, in bytes.
const ELEMENT: usize = size_of::<Val>();

/// What one entry of an object holds, about, in bytes.
const ENTRY: usize = 4 * ELEMENT;

/// The definitions that a mapping may call.
pub(crate) fn definitions<'s>() -> impl Iterator<Item = Def<&'s str>> {
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    all.filter(|def| !ABSENT.contains(&def.name)).map(|def| -> Def<&'s str> { guarded_def(def) })
}

/// The native functions that a mapping may call, ours before jaq's of the same name.
pub(crate) fn functions() -> impl Iterator<Item = Fun<Metered>> {
    let all = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    own().into_iter().chain(all.filter(|(name, ..)| !ABSENT.contains(name)))
}

fn own() -> [Fun<Metered>; 6] {
    [
        run((PLUS, v(2), |cv| {
            let (budget, l, r) = operands(cv);
            bome(plus(budget, l, r))
        })),
        run((TIMES, v(2), |cv| {
            let (budget, l, r) = operands(cv);
            bome(times(budget, l, r))
        })),
        run((ARRAY, [Bind::Fun(())].into(), |mut cv| {
            let (f, ctx) = cv.0.pop_fun();
            let budget = ctx.data().budget;
            box_once(f.run((ctx, cv.1)).inspect(|_| budget.charge(ELEMENT)).collect())
        })),
        run(("range", v(3), |mut cv| {
            let by = cv.0.pop_var();
            let to = cv.0.pop_var();
            let from = cv.0.pop_var();
            let budget = cv.0.data().budget;
            Box::new(range(from, to, by).inspect(|_| budget.step()).map(|x| x.map_err(Into::into)))
        })),
        run(("fromjson", v(0), |cv| bome(from_json(&cv.1)))),
        run(("token", v(0), |cv| bome(token(&cv.1)))),
    ]
}

/// The operands of a call, with nothing else holding on to them: what is held once is extended in place.
fn operands((mut ctx, input): (Ctx<'_>, Val)) -> (&Budget, Val, Val) {
    drop(input);
    let r = ctx.pop_var();
    let l = ctx.pop_var();
    let Meter { budget, .. } = *ctx.data();
    (budget, l, r)
}

fn plus(budget: &Budget, l: Val, r: Val) -> ValR {
    let copied = |held_once: bool, len: usize| if held_once { 0 } else { len };
    match (&l, &r) {
        (Val::TStr(l), Val::TStr(r)) | (Val::BStr(l), Val::BStr(r)) => {
            budget.charge(r.len().saturating_add(copied(l.is_unique(), l.len())));
        }
        (Val::Arr(l), Val::Arr(r)) => {
            budget.charge(ELEMENT * (r.len() + copied(Rc::strong_count(l) == 1, l.len())));
        }
        (Val::Obj(l), Val::Obj(r)) => {
            budget.charge(ENTRY * (r.len() + copied(Rc::strong_count(l) == 1, l.len())));
        }
        _ => {}
    }
    l + r
}

fn times(budget: &Budget, l: Val, r: Val) -> ValR {
    match (&l, &r) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(n)) | (Val::Num(n), Val::TStr(text) | Val::BStr(text)) => {
            let count = match n {
                Num::Int(n) => usize::try_from(*n).unwrap_or(0),
                Num::BigInt(_) => usize::MAX,
                Num::Float(_) | Num::Dec(_) => 0,
            };
            budget.charge(text.len().saturating_mul(count));
        }
        (Val::Num(Num::BigInt(l)), Val::Num(Num::BigInt(r))) => {
            budget.charge(usize::try_from((l.bits() / 8).saturating_mul(r.bits() / 8)).unwrap_or(usize::MAX));
        }
        (Val::Obj(l), Val::Obj(r)) => budget.charge(ENTRY * (l.len() + r.len())),
        _ => {}
    }
    l * r
}

/// As jaq defines it: from `from` in steps of `by` until `to` is reached or passed; for ever if it never is.
fn range(from: Val, to: Val, by: Val) -> impl Iterator<Item = ValR> {
    let zero = Val::from(0_isize);
    let upward = by > zero;
    let downward = by < zero;
    let mut next = Ok(from);
    std::iter::from_fn(move || {
        let x = match &next {
            Ok(x) => x.clone(),
            Err(_) => return Some(std::mem::replace(&mut next, Ok(to.clone()))),
        };
        let more = if upward {
            x < to
        } else if downward {
            x > to
        } else {
            x != to
        };
        more.then(|| std::mem::replace(&mut next, x + by.clone()))
    })
}

fn from_json(input: &Val) -> ValR {
    let Val::TStr(text) = input else { return Err(Error::typ(input.clone(), "string")) };
    read::value(text).map_err(|e| Error::str(format_args!("cannot parse as JSON: {e}")))
}

fn token(input: &Val) -> ValR {
    match input {
        Val::TStr(text) => Ok(Val::from(escape_token(&String::from_utf8_lossy(text)))),
        Val::Num(n) => Ok(Val::from(escape_token(&n.to_string()))),
        _ => Err(Error::typ(input.clone(), "topic token (a text or a number)")),
    }
}

fn guarded_def(def: Def<&str>) -> Def<&str> {
    Def { name: def.name, args: def.args, body: guarded(def.body) }
}

/// The same program, with every operator whose cost has to be counted turned into a call.
///
/// Recurses as deep as the program nests: call it where there is stack for that.
pub(crate) fn guarded<'s>(term: Term<&'s str>) -> Term<&'s str> {
    let boxed = |term: Box<Term<&'s str>>| Box::new(guarded(*term));
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) | Term::Arr(None) => term,
        Term::Arr(Some(items)) => Term::Call(ARRAY, vec![guarded(*items)]),
        Term::Str(format, parts) => text(format, parts),
        Term::Obj(entries) => {
            Term::Obj(entries.into_iter().map(|(key, value)| (guarded(key), value.map(guarded))).collect())
        }
        Term::Neg(x) => Term::Neg(boxed(x)),
        Term::BinOp(l, op, r) => operation(guarded(*l), op, guarded(*r)),
        Term::Label(name, body) => Term::Label(name, boxed(body)),
        Term::Fold(name, xs, pattern, args) => {
            Term::Fold(name, boxed(xs), guarded_pattern(pattern), args.into_iter().map(guarded).collect())
        }
        Term::TryCatch(body, catch) => Term::TryCatch(boxed(body), catch.map(boxed)),
        Term::IfThenElse(branches, otherwise) => Term::IfThenElse(
            branches.into_iter().map(|(test, then)| (guarded(test), guarded(then))).collect(),
            otherwise.map(boxed),
        ),
        Term::Def(defs, body) => Term::Def(defs.into_iter().map(guarded_def).collect(), boxed(body)),
        Term::Call(name, args) => Term::Call(name, args.into_iter().map(guarded).collect()),
        Term::Path(body, Path(parts)) => {
            let part = |part| match part {
                Part::Index(i) => Part::Index(guarded(i)),
                Part::Range(from, to) => Part::Range(from.map(guarded), to.map(guarded)),
            };
            Term::Path(boxed(body), Path(parts.into_iter().map(|(p, opt)| (part(p), opt)).collect()))
        }
    }
}

fn operation<'s>(l: Term<&'s str>, op: BinaryOp<&'s str>, r: Term<&'s str>) -> Term<&'s str> {
    let counted = |op: Math| match op {
        Math::Add => Some(PLUS),
        Math::Mul => Some(TIMES),
        _ => None,
    };
    match op {
        BinaryOp::Math(math) if let Some(name) = counted(math) => Term::Call(name, vec![l, r]),
        // `l += r` is `r as $x | l |= . + $x`.
        BinaryOp::UpdateMath(math) if let Some(name) = counted(math) => {
            let sum = Term::Call(name, vec![Term::Id, Term::Var(OPERAND)]);
            let update = Term::BinOp(l.into(), BinaryOp::Update, sum.into());
            Term::BinOp(r.into(), BinaryOp::Pipe(Some(Pattern::Var(OPERAND))), update.into())
        }
        BinaryOp::Pipe(Some(pattern)) => {
            Term::BinOp(l.into(), BinaryOp::Pipe(Some(guarded_pattern(pattern))), r.into())
        }
        op => Term::BinOp(l.into(), op, r.into()),
    }
}

/// A text with terms in it, as the sum of its parts, in the order in which jaq adds them.
fn text<'s>(format: Option<&'s str>, parts: Vec<StrPart<&'s str, Term<&'s str>>>) -> Term<&'s str> {
    if !parts.iter().any(|part| matches!(part, StrPart::Term(_))) {
        return Term::Str(format, parts);
    }
    let alone = |part| match part {
        StrPart::Term(term) => Term::Str(format, vec![StrPart::Term(guarded(term))]),
        plain => Term::Str(None, vec![plain]),
    };
    let sum = |tail: Term<&'s str>, part| Term::Call(PLUS, vec![alone(part), tail]);
    let mut parts = parts.into_iter().rev();
    let Some(last) = parts.next() else { return Term::Str(format, Vec::new()) };
    parts.fold(alone(last), sum)
}

fn guarded_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(_) => pattern,
        Pattern::Arr(items) => Pattern::Arr(items.into_iter().map(guarded_pattern).collect()),
        Pattern::Obj(entries) => {
            Pattern::Obj(entries.into_iter().map(|(key, p)| (guarded(key), guarded_pattern(p))).collect())
        }
    }
}
