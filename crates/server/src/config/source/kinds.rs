//! The keys of each kind of source, and what they make.

use std::{path::PathBuf, time::Duration};

use standpipe_upstream::{
    Decoding, DemandConfig, ExecConfig, Headers, HttpConfig, HttpPollConfig, Kind, Mapping, PushConfig, ReplayConfig,
    SseConfig, Then, WebSocketConfig,
};

use super::{
    demand::{Located, Wanted, locate},
    settings::{Address, Pace, Token, Web, Ws},
};
use crate::config::{
    keys::{Reader, section},
    numbers::in_memory,
    quantity::Size,
    texts::{ExistingFile, Expanded},
};

/// Nobody is asked more often.
const OFTEN: Duration = Duration::from_millis(100);

section! {
    WebSocketKeys {
        url: Address<Ws>, "Where to connect, `ws://` or `wss://`. `${NAME}` is replaced.";
        headers: Option<Headers>, "Headers of the handshake. `${NAME}` is replaced.";
        subprotocols: Vec<Token> = Vec::<String>::new(), "Subprotocols to offer, the preferred one first.";
        send: Vec<Expanded> = Vec::<String>::new(), "Text frames to send after connecting, in order. `${NAME}` is replaced.";
        decode: Decoding = vec!["json"], "What makes a value of a frame: steps that unpack it, then `json`, `ndjson` or `text`.";
        reply: Option<Mapping>, "A jq program; each output for a frame is sent back. For pings of the feed's own.";
        max_frame: Size = "16MiB", "The largest frame, as received and after each step of `decode`.";
        connect_timeout: Duration = "10s", "For name resolution, connecting, TLS and the handshake together.";
        ping_interval: Duration = "20s", "How often the feed's server is pinged.";
        pong_timeout: Duration = "20s", "How long it may then send nothing at all before the connection counts as lost.";
        ca_file: Option<ExistingFile>, "A PEM file of certificate authorities to trust instead of the public ones.";
    }
}

section! {
    SseKeys {
        url: Address<Web>, "Where to ask, `http://` or `https://`. `${NAME}` is replaced.";
        headers: Option<Headers>, "Headers of the request. `${NAME}` is replaced.";
        decode: Decoding = vec!["json"], "As for `websocket`, of the data of each event.";
        max_frame: Size = "16MiB", "The largest event, as received and after each step of `decode`.";
        timeout: Duration = "10s", "From the request to the head of the answer, with name resolution, connecting and TLS.";
        silence: Duration = "60s", "How long a stream may send nothing at all, not even a comment, before it counts as lost.";
        ca_file: Option<ExistingFile>, "As for `websocket`.";
    }
}

section! {
    HttpPollKeys {
        url: Address<Web>, "What to ask for, `http://` or `https://`. `${NAME}` is replaced.";
        every: Duration, "From one request to the next, at least 100 ms.";
        headers: Option<Headers>, "Headers of the request. `${NAME}` is replaced.";
        decode: Decoding = vec!["json"], "As for `websocket`, of each answer.";
        max_frame: Size = "16MiB", "The largest answer, as received and after each step of `decode`.";
        timeout: Duration = "10s", "From the request to the head of the answer, with name resolution, connecting and TLS; and as long again for the rest of it.";
        ca_file: Option<ExistingFile>, "As for `websocket`.";
    }
}

section! {
    ExecKeys {
        command: Vec<String>, "The program and its arguments. One with a `/` in it is a path from the directory of the configuration, where the program runs; another is looked for in `PATH`.";
        decode: Decoding = vec!["json"], "As for `websocket`, of each line that the program writes.";
        max_frame: Size = "16MiB", "The largest line, as written and after each step of `decode`.";
    }
}

section! {
    ReplayKeys {
        file: ExistingFile, "The recording, gzip-compressed or not: JSON lines, or captures with `t`, `ts` and `data`.";
        speed: Pace = "recorded", "With the pauses it was recorded with, with those divided by a number, or without (`max`).";
        repeat: bool = false, "Whether it starts again at its end.";
        decode: Decoding = vec!["json"], "As for `websocket`.";
        max_frame: Size = "16MiB", "The largest frame, as recorded and after each step of `decode`.";
    }
}

section! {
    PushKeys {
        max_input: Size = "1MiB", "The largest input of a publisher.";
        patience: Duration = "10s", "How long a publisher waits for its answer before it is told that there is no room.";
    }
}

/// A kind with an address, and what makes a source of it demand-driven, if anything does.
pub(super) type Connected = (Kind, Option<DemandConfig>);

pub(super) fn websocket(
    keys: WebSocketKeys,
    wanted: Option<Wanted>,
    path: &str,
    reader: &mut Reader<'_>,
) -> Option<Connected> {
    let Located { url, network, demand } = locate(keys.url, file(keys.ca_file), wanted, path, reader)?;
    let kind = Kind::WebSocket(WebSocketConfig {
        url,
        headers: keys.headers.unwrap_or_default(),
        subprotocols: keys.subprotocols.into_iter().map(|Token(name)| name).collect(),
        send: keys.send.into_iter().map(|frame| frame.text).collect(),
        decode: keys.decode,
        reply: keys.reply,
        max_frame: in_memory(keys.max_frame),
        connect_timeout: keys.connect_timeout,
        ping_interval: keys.ping_interval,
        pong_timeout: keys.pong_timeout,
        network,
    });
    Some((kind, demand))
}

pub(super) fn sse(keys: SseKeys, wanted: Option<Wanted>, path: &str, reader: &mut Reader<'_>) -> Option<Connected> {
    let Located { url, network, demand } = locate(keys.url, file(keys.ca_file), wanted, path, reader)?;
    let kind = Kind::Sse(SseConfig {
        http: HttpConfig { url, headers: keys.headers.unwrap_or_default(), timeout: keys.timeout, network },
        decode: keys.decode,
        max_frame: in_memory(keys.max_frame),
        silence: keys.silence,
    });
    Some((kind, demand))
}

pub(super) fn http_poll(
    keys: HttpPollKeys,
    wanted: Option<Wanted>,
    path: &str,
    reader: &mut Reader<'_>,
) -> Option<Connected> {
    if keys.every < OFTEN {
        let what = format!("a server is not asked more often than every {OFTEN:?}");
        reader.problem(&format!("{path}.every"), what, "a feed that has more to say has a stream");
        return None;
    }
    let Located { url, network, demand } = locate(keys.url, file(keys.ca_file), wanted, path, reader)?;
    let kind = Kind::HttpPoll(HttpPollConfig {
        http: HttpConfig { url, headers: keys.headers.unwrap_or_default(), timeout: keys.timeout, network },
        every: keys.every,
        decode: keys.decode,
        max_frame: in_memory(keys.max_frame),
    });
    Some((kind, demand))
}

fn file(file: Option<ExistingFile>) -> Option<PathBuf> {
    file.map(|ExistingFile(file)| file)
}

pub(super) fn exec(keys: ExecKeys, path: &str, reader: &mut Reader<'_>) -> Option<Kind> {
    let mut words = keys.command.into_iter();
    let Some(program) = words.next() else {
        reader.problem(&format!("{path}.command"), "it is empty", "write the program and its arguments");
        return None;
    };
    let directory = std::path::absolute(reader.directory).unwrap_or_else(|_| reader.directory.to_owned());
    let program = if program.contains('/') { directory.join(program) } else { program.into() };
    Some(Kind::Exec(ExecConfig {
        program,
        arguments: words.collect(),
        directory,
        decode: keys.decode,
        max_frame: in_memory(keys.max_frame),
    }))
}

pub(super) fn replay(keys: ReplayKeys) -> Kind {
    Kind::Replay(ReplayConfig {
        file: keys.file.0,
        speed: keys.speed.0,
        then: if keys.repeat { Then::Repeat } else { Then::Stop },
        decode: keys.decode,
        max_frame: in_memory(keys.max_frame),
    })
}

pub(super) fn push(keys: &PushKeys) -> Kind {
    Kind::Push(PushConfig { max_input: in_memory(keys.max_input), patience: keys.patience })
}
