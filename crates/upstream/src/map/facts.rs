//! What a run knows besides its input: the globals of a program, and how much a run may cost.

use std::sync::Arc;

use bumpalo::Bump;
use jaq_json::Val;

use super::{
    BYTES, EVALUATION_STACK_BYTES, MAX_STEPS, MAX_TIME, STEPS,
    compile::{self, GLOBALS},
    direct::Globals,
    meter::Limits,
};
use crate::{
    carried::State,
    template::Params,
    value::borrowed::{Object, Value},
};

/// What is known of a value besides itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The name of its source, for the program.
    pub source: &'a Arc<str>,
    /// The name that its events bear.
    pub stream: &'a Arc<str>,
    /// The number of the connection that it came over, from 1: another one after each reconnect.
    pub conn: u64,
    /// What its feed calls the type of its frame.
    pub event: Option<&'a str>,
    /// What its instance of a demand-driven source was started for.
    pub params: &'a Params,
    /// When its frame arrived, in ms since 1970; under replay, when it arrived at the recorder.
    pub received: i64,
    /// The size of its frame, in bytes.
    pub size: usize,
    /// What was carried here from earlier values of the connection.
    pub state: &'a State,
}

impl Facts<'_> {
    /// In the order of [`compile::GLOBALS`].
    pub(super) fn globals(&self) -> [Val; compile::GLOBALS.len()] {
        let conn = isize::try_from(self.conn).map_or(Val::Null, Val::from);
        let event = self.event.map_or(Val::Null, |event| Val::from(event.to_owned()));
        [Val::from(self.source.to_string()), conn, event, self.params(), self.received(), self.state.val.clone()]
    }

    /// The same for a run without jaq, as far as the program `reads` them; unless only jaq is to be given them.
    pub(super) fn borrowed_globals<'v>(&'v self, arena: &'v Bump, reads: [bool; GLOBALS.len()]) -> Option<Globals<'v>> {
        let [source, conn, event, params, received, state] = reads;
        let mut globals = [Value::Null; GLOBALS.len()];
        let [its_source, its_conn, its_event, its_params, its_received, its_state] = &mut globals;
        if source {
            *its_source = Value::Text(self.source);
        }
        if conn {
            *its_conn = isize::try_from(self.conn).map_or(Value::Null, Value::Int);
        }
        if event {
            *its_event = self.event.map_or(Value::Null, Value::Text);
        }
        if params {
            let params = self.params.iter().map(|(name, value)| (&**name, Value::Text(value)));
            *its_params = Value::Object(Object::new(arena, &params.collect::<Vec<_>>()));
        }
        if received {
            *its_received = isize::try_from(self.received).map_or(Value::Null, Value::Int);
        }
        if state {
            *its_state = self.state.borrowed(arena)?;
        }
        Some(globals)
    }

    fn params(&self) -> Val {
        let text = |text: &String| Val::utf8_str(text.clone());
        Val::obj(self.params.iter().map(|(name, value)| (text(name), text(value))).collect())
    }

    fn received(&self) -> Val {
        isize::try_from(self.received).map_or(Val::Null, Val::from)
    }

    /// Bigger frames may cost more, up to a bound.
    pub(super) fn limits(&self) -> Limits {
        let size = u64::try_from(self.size).unwrap_or(u64::MAX);
        Limits {
            steps: STEPS.saturating_add(size / 4).min(MAX_STEPS),
            bytes: BYTES.saturating_add(size.saturating_mul(8)),
            time: MAX_TIME,
            stack: EVALUATION_STACK_BYTES,
        }
    }
}
