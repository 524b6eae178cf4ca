//! Which values a client may give to the parameters of demand-driven sources.

use std::collections::{BTreeMap, BTreeSet};

use standpipe_protocol::{ErrorCode, Refusal, refusal::clip};

use crate::{Params, wording::list};

/// The values that a refusal shows.
const MAX_SHOWN: usize = 8;

/// The values that may be given, by the name of the parameter. One that is not named may not be given at all.
///
/// Values are compared as they are written: another spelling of the same address is another value. So there is no question
/// what a source makes of it afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedParams(pub BTreeMap<String, BTreeSet<String>>);

impl AllowedParams {
    /// How many values there are, of all parameters.
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Judges what a client gives.
    ///
    /// # Errors
    /// `FORBIDDEN`, naming the first value that may not be given, and what may.
    pub(crate) fn judge(&self, params: &Params) -> Result<(), Refusal> {
        for (name, value) in params {
            let allowed = self.0.get(name);
            if allowed.is_some_and(|allowed| allowed.contains(value)) {
                continue;
            }
            let message = format!("`{}={}` may not be asked for with this credential", clip(name), clip(value));
            let hint = match allowed.filter(|allowed| !allowed.is_empty()) {
                None => format!("it allows no value of `{}`", clip(name)),
                Some(allowed) => {
                    let more = if allowed.len() > MAX_SHOWN { ", and others" } else { "" };
                    format!("it allows {}{more}", list(allowed.iter().take(MAX_SHOWN).map(String::as_str)))
                }
            };
            return Err(Refusal::new(ErrorCode::Forbidden, message).hint(hint));
        }
        Ok(())
    }
}
