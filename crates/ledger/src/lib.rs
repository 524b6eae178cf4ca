//! What became of every event that was meant for somebody, and what of it is charged.
//!
//! Each connection has one [`Tally`], owned by its shard; closed ones are added up in [`Totals`]. The rule that holds them
//! together is [`Tally::balance`]: every event that matched is in the end confirmed, conflated, skipped, returned or
//! unconfirmed.
//!
//! What is confirmed may cost money. [`Tariff`] says what and how much, [`Budget`] how much of it may still be delivered, and
//! [`Settlement`] carries what is confirmed to a [`ChargeSink`], through a journal that outlives the process.
//!
//! **Invariant:** never is more charged than was confirmed. Where that is in doubt, less is charged, and counted.

pub mod bill;
pub mod budget;
pub mod charge;
mod driver;
pub mod file;
pub mod gate;
pub mod journal;
pub mod ledger;
pub mod money;
pub mod paid;
pub mod session;
pub mod settle;
pub mod sink;
pub mod tally;
pub mod tariff;
pub mod unproven;

pub use bill::{Bill, Unpaid};
pub use budget::{Budget, Outlook};
pub use charge::{Answer, Charge, Denied, Key, Payer, RequestId, Scope};
pub use file::FileSink;
pub use gate::{Pause, Unbilled};
pub use journal::entry::{Entry, Opened, Outcome, Past, Recovered};
pub use journal::{Found, Journal, JournalError};
pub use ledger::{Cap, Config, EventReport, Ledger, Report, StartError};
pub use money::{MoneyError, Usd};
pub use paid::Paid;
pub use session::{Bounds, Left, ResumeNumbers, Sessions};
pub use settle::{ClassNumbers, Effect, Numbers, Settlement};
pub use sink::{ChargeSink, Counts, CountsError, Terms};
pub use standpipe_protocol::Class;
pub use tally::{Progress, Tally, Totals};
pub use tariff::{EventName, NameError, Priced, Rule, Tariff};
pub use unproven::{Place, Unproven};
