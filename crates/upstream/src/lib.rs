//! The collector: live sources in, normalized events out.
//!
//! This crate decides how a source is connected to, what its frames mean, what of it is new, and whether it still
//! delivers. It ends at a bounded queue of [`standpipe_protocol::Item`]s: where events are kept and who gets them is
//! not its business. It never ends the process for the sake of one source.
//!
//! ```text
//! source ──frames──▶ mapper ──values──▶ intake ──▶ queue to the log
//!    ▲                decode, jq         merge, dedupe, count
//! supervisor ◀─────── pulse: connected, data ──┘    stream: state and gaps, to be told
//! ```

mod carried;
mod config;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod decode;
mod dedupe;
mod demand;
mod endpoint;
mod error;
mod exec;
mod headers;
mod http;
mod intake;
mod kinds;
mod map;
mod mapper;
mod memory;
mod merge;
mod network;
mod novelty;
mod numbers;
mod poll;
mod pulse;
mod push;
mod reach;
mod replay;
mod sample;
mod source;
mod sse;
mod status;
mod stream;
mod supervisor;
mod tape;
mod template;
mod trial;
mod trust;
mod upstream;
mod value;
mod websocket;

pub use config::{
    DemandConfig, ExecConfig, Factor, HttpConfig, HttpPollConfig, Kind, Make, OwnConfig, PushConfig, ReplayConfig,
    SourceConfig, Speed, SseConfig, Then, WebSocketConfig,
};
pub use decode::{Decode, Decoding, DecodingError};
pub use demand::{Demand, MAX_VALUE_BYTES, Share};
pub use endpoint::{Endpoint, EndpointError, Family};
pub use error::{Error, ErrorKind};
pub use headers::{HeaderError, Headers};
pub use map::{MAX_EVENT_ID_BYTES, MAX_KEY_BYTES, MAX_OUTPUT_BYTES, MAX_OUTPUTS, Mapping, MappingError, ShapeError};
pub use network::Network;
pub use numbers::Numbering;
pub use push::{Published, Push, Topics};
pub use reach::{Allowed, OutOfReach, Reach};
pub use source::{End, Feed, Source};
pub use status::{DemandStatus, InstanceStatus, LastError, SourceStatus};
pub use tape::{Taken, Tape};
pub use template::{Params, UrlTemplate};
pub use trial::{Tried, try_on};
pub use upstream::Upstream;
