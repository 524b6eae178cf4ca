//! The one table of all keys but those of sources, with their defaults. No other place holds a default.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use standpipe_entry::{
    AuthorizationHeader, ForwardedBy, Network,
    auth::{Algorithm, Hash},
};
use standpipe_ledger::Unbilled;
use standpipe_liveness::Rate;
use standpipe_protocol::{Confirm, Overflow};
use standpipe_selection::{Pattern, Wider};

use super::{
    auth::{FilterText, KeysUrl, Mode, ParamValues},
    billing::{Amount, Events, Prices, SinkKind, Unproven},
    keys::{Key, section},
    numbers::{Between, NoLimitAtZero, UpTo},
    platform::{Anonymous, Payer},
    quantity::Size,
    texts::{AllowedOrigins, ExistingFile, FilePath, Hidden},
    valid::Flush,
    values::{Auto, OrNone, choice},
};

/// What a section of the file is called, what it is about, and its keys.
pub(super) struct SectionInfo {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) keys: fn() -> Vec<Key>,
}

/// All sections but `[[source]]`, in the order of the reference.
pub(super) const SECTIONS: &[SectionInfo] = &[
    SectionInfo { name: "server", about: "The process.", keys: ServerKeys::keys },
    SectionInfo {
        name: "log",
        about: "How far back a client can resume. The first limit that is reached counts.",
        keys: LogKeys::keys,
    },
    SectionInfo {
        name: "snapshot",
        about: "The latest event of each key, for clients that ask for a snapshot.",
        keys: SnapshotKeys::keys,
    },
    SectionInfo { name: "client", about: "What every client is owed and owes.", keys: ClientKeys::keys },
    SectionInfo { name: "limits", about: "What clients may use.", keys: LimitKeys::keys },
    SectionInfo {
        name: "drain",
        about: "The end of the process, after SIGTERM, SIGINT or `POST /drain`.",
        keys: DrainKeys::keys,
    },
    SectionInfo { name: "auth", about: "Who may connect.", keys: AuthKeys::keys },
    SectionInfo { name: "auth.jwt", about: "Which tokens are valid.", keys: JwtKeys::keys },
    SectionInfo { name: "billing", about: "What is charged for.", keys: BillingKeys::keys },
    SectionInfo { name: "admin", about: "Who may see and do what only operators may.", keys: AdminKeys::keys },
    SectionInfo { name: "input", about: "What the input of an Actor may set.", keys: InputKeys::keys },
];

/// All lists of tables but `[[source]]`.
pub(super) const LISTS: &[SectionInfo] =
    &[SectionInfo { name: "auth.key", about: "One key of a client; as many as wanted.", keys: KeyKeys::keys }];

/// The names of what stands directly within a section: tables and lists. Of the file itself, if `section` is empty.
pub(super) fn within(section: &str) -> impl Iterator<Item = &'static str> {
    let all = SECTIONS.iter().chain(LISTS).map(|info| info.name);
    all.filter_map(move |name| match name.rsplit_once('.') {
        Some((parent, name)) => (parent == section).then_some(name),
        None => section.is_empty().then_some(name),
    })
}

section! {
    ServerKeys {
        listen: SocketAddr = "127.0.0.1:8080", "Where clients connect. Port 0: any free port, told in the log.";
        memory: Auto<Size> = "auto", "What the log, the queues and the snapshots share; an eighth is left to the connections themselves. `auto`: 60 % of `ACTOR_MEMORY_MBYTES`, else of the limit of the cgroup, else of the machine's memory.";
        workers: Auto<UpTo<256>> = "auto", "Threads that serve clients. `auto`: one for each core.";
        audit_interval: Duration = "60s", "How often the parts of the server are compared with each other: what they hold of the same clients must agree (`standpipe_audit_difference`).";
        watchdog: OrNone<Duration> = "30s", "How long what serves clients may stand still before the process ends, with status 70, to be started again.";
    }
}

section! {
    LogKeys {
        max_events: NonZeroUsize = 1_000_000, "Events that are kept.";
        max_bytes: Auto<Size> = "auto", "Memory that they may take. `auto`: half of `server.memory`.";
        max_age: Duration = "15m", "How long they are kept.";
    }
}

section! {
    SnapshotKeys {
        max_keys: NonZeroUsize = 100_000, "Keys whose latest event is kept. A key belongs to its topic; the one that was silent for longest is forgotten.";
        max_bytes: Auto<Size> = "auto", "Memory that they may take. `auto`: an eighth of `server.memory`.";
        patience: Duration = "60s", "How long a client may take to read its snapshot: the state that it is shown is held as long.";
    }
}

section! {
    ClientKeys {
        max_queue_bytes: Size = "1MB", "What may wait to be written to one client; past it, `overflow` applies.";
        max_queue_bytes_total: Auto<Size> = "auto", "Memory that the queues of all clients may take beside the log, which holds most of what is in them; past it, those that take most give up theirs, each by its `overflow`. `auto`: a quarter of `server.memory`, or what log and snapshots leave of it.";
        max_queue_age: Duration = "10s", "How long an event may wait to be written; past it, `overflow` applies.";
        max_unconfirmed_bytes: Size = "1MiB", "What is written beyond the last receipt before the writing waits for the next one.";
        max_unconfirmed_frames: NonZeroUsize = 4000, "The same, in events.";
        max_frame: Between<{ 1 << 10 }, { 16 << 20 }> = "64KiB", "The largest message that a client may send; a larger one closes with 1009. A filter is part of one, so that this bounds it, too.";
        ping_interval: Duration = "25s", "How often a quiet client is pinged, ± 10 % for each connection.";
        pong_timeout: Duration = "20s", "How long a client may owe a receipt before it counts as gone. At most `ping_interval`.";
        heartbeat: Duration = "15s", "How often a client is told its cursor.";
        receipt_interval: Duration = "2s", "How often a receipt is asked for while events flow and a billing sink is on; else `ping_interval`.";
        resume_within: Duration = "2m", "How long after its end a connection's token (`resume`) still proves what its client has.";
        first_step: Duration = "10s", "How long a client may stay without a subscription after connecting.";
        idle: Duration = "5m", "How long a client may stay that has unsubscribed from everything.";
        write_timeout: Duration = "10s", "How long the socket may take nothing of what is to be written; also what a slow client has to read its goodbye.";
        flush_interval: Flush = "auto", "How long events are gathered for one write; `0ms`: not at all. `auto`: not at all for quiet clients, up to 5 ms for busy ones.";
        confirm: Confirm = "pong", "The least proof of receipt that is accepted; a client may choose the stronger one.";
        overflow: Overflow = "disconnect", "What happens to a client that does not keep up and did not choose.";
    }
}

section! {
    LimitKeys {
        max_connections: NonZeroUsize = 15_000, "Open connections of clients.";
        max_connections_per_ip: NoLimitAtZero = 0, "The same, from one address; of IPv6, from one /64.";
        max_connections_per_credential: NoLimitAtZero = 0, "The same, of one credential.";
        connect_rate_per_ip: OrNone<Rate> = "none", "How often clients of one address connect.";
        connect_rate_per_credential: OrNone<Rate> = "none", "How often clients of one credential connect.";
        unproven_rate_per_ip: OrNone<Rate> = "none", "Events that clients of one address have not proven to have when their connections end. Past it, nobody is let in from there until enough time has gone by, and at most for the time that the rate is about.";
        unproven_rate_per_credential: OrNone<Rate> = "none", "The same, of one credential.";
        publish_rate_per_ip: OrNone<Rate> = "none", "Inputs that are published from one address. What comes in one request is taken as a whole, and waited for afterwards.";
        publish_rate_per_credential: OrNone<Rate> = "none", "The same, with one credential.";
        max_refusal_delay: OrNone<Duration> = "2s", "How long an answer is held back, at most, to an address that is refused again and again. The first 8 are given at once, the next ones later and later, at a random time; a minute without one, and it begins anew.";
        max_addresses: NonZeroUsize = 100_000, "Addresses of which is remembered what they have used of their rates and how often they were refused, and as many credentials.";
        trusted_proxies: Vec<Network> = Vec::<String>::new(), "Networks of the proxies in front of this server, as `10.0.0.0/8`: they are believed about the address that a client has.";
        proxy_header: ForwardedBy = "x-forwarded-for", "Where they write it. Any other header is the client's own word.";
        command_rate: OrNone<Rate> = "200/s", "Commands of one connection, and other frames that are answered; all but `ack`. As many as come in that time may come at once.";
        max_resumable: NonZeroUsize = 10_000, "Connections that have ended and whose token still counts, for `client.resume_within`.";
        max_subscriptions: NonZeroUsize = 128, "Subscriptions of one connection.";
        max_topics_per_command: NonZeroUsize = 128, "Topic patterns in one command or URL.";
        max_filter_bytes: Size = "256KiB", "The text of one filter. In a message `client.max_frame` bounds it as well, in a URL the 8 KiB of a request's head.";
        max_filter_depth: UpTo<128> = 8, "How deep `and`, `or` and `not` may nest in a filter.";
        max_filter_nodes: NonZeroUsize = 256, "Conditions in one filter.";
        max_set_values: NonZeroUsize = 10_000, "Values in one `in` or `nin`.";
        max_http: NonZeroUsize = 512, "Connections that speak HTTP at the same time, handshakes among them; more wait.";
        max_http_per_ip: NoLimitAtZero = 0, "The same, of one address, those that say nothing yet among them; of IPv6, of one /64. Trusted proxies are not counted.";
        max_publishing: NonZeroUsize = 16, "Requests to `/publish` at the same time.";
        max_publish_bytes: Size = "16MiB", "The body of one of them.";
        max_publish_stream: Size = "1GiB", "The body of one of them that is a stream of lines (NDJSON).";
        max_publish_line: Size = "1MiB", "One line of it.";
        max_publish_inputs: NonZeroUsize = 1_000_000, "Inputs in one of them.";
    }
}

section! {
    DrainKeys {
        window: Duration = "8s", "The time over which clients are sent away, so that they do not all come back at once.";
        deadline: Duration = "14s", "When the process ends, whoever is left. Longer than `window`.";
    }
}

section! {
    AuthKeys {
        allowed_origins: AllowedOrigins = "auto", "Which web pages may connect, as `https://app.example.com`. `auto`: those that this machine serves, to a loopback address. Programs that are not browsers are not asked.";
        mode: Mode = "none", "How clients prove who they are: not at all, by keys of this file (`[[auth.key]]`), or by tokens that somebody else signed (`[auth.jwt]`).";
        wider: Wider = "refuse", "What becomes of a pattern that selects more than its client is granted: it is refused, or narrowed to what is granted.";
        authorization_header: AuthorizationHeader = "ours", "Whose the header `Authorization` is. `foreign`: a platform in front uses it for credentials of its own; it is ignored, but for the admin token.";
    }
}

section! {
    JwtKeys {
        algorithm: Option<Algorithm>, "How tokens are signed. Needed for `mode = \"jwt\"`; a token that names another one is refused.";
        secret: Option<Hidden>, "For `HS256`: what is shared with the issuer, at least 32 bytes. `${NAME}` is replaced.";
        key_file: Option<ExistingFile>, "For the others: the issuer's public key, in PEM form.";
        jwks_file: Option<ExistingFile>, "Or a set of them (JWKS).";
        jwks_url: Option<KeysUrl>, "Or where to fetch such a set. `${NAME}` is replaced.";
        refresh: Duration = "10m", "How often a set is read again. A token that names a key which it lacks has it read at once, but not twice in 5 s.";
        issuer: Vec<String> = Vec::<String>::new(), "What `iss` has to be, one of these. None: it is not looked at.";
        audience: Vec<String> = Vec::<String>::new(), "What `aud` has to be, one of these. None: a token with an audience is refused.";
        leeway: Duration = "60s", "By how much the clock of the issuer may differ.";
        claim: String = "standpipe", "The claim that says what a client may see and send: `{subscribe, publish, filter, params, plan}`.";
        subscribe: Vec<Pattern> = Vec::<String>::new(), "The topics of a token whose claim does not say.";
        publish: Vec<Pattern> = Vec::<String>::new(), "The same for publishing.";
        params: Option<ParamValues>, "The same for the values of parameters of demand-driven sources. Without it, any.";
    }
}

section! {
    KeyKeys {
        name: String, "What the key is called where its client is shown. Unique, not secret.";
        hash: Hash, "What the key hashes to; `standpipe key` makes both. `${NAME}` is replaced.";
        subject: Option<String>, "Whom it stands for. Without it, its name.";
        subscribe: Vec<Pattern> = Vec::<String>::new(), "The topics that its client may subscribe.";
        publish: Vec<Pattern> = Vec::<String>::new(), "The topics that it may publish to.";
        filter: Option<FilterText>, "Holds for every event that the client is shown, whatever it selects.";
        params: Option<ParamValues>, "The values that its client may give to parameters of demand-driven sources, as `{ pair = [\"BTC\"] }`, exactly as written; a parameter that is not named, it may not give at all. Without it, any.";
        plan: Option<String>, "The plan of its client.";
    }
}

section! {
    BillingKeys {
        sink: SinkKind = "none", "Where confirmed deliveries are charged: nowhere, in a file of yours, or by the platform that runs this Actor.";
        file: FilePath = "charges.jsonl", "With `sink = \"file\"`: where a line is written for each charge.";
        journal: FilePath = "journal.jsonl", "What is confirmed and not yet charged, for the next process. At most 2 MiB.";
        run: String = "standpipe", "With `sink = \"file\"`: whose charges these are. Another name begins anew: what was owed under the old one is not charged.";
        event: Events = "event-delivered", "What a confirmed delivery is charged as. Of a list, the first whose pattern selects the topic counts; topics that none selects cost nothing.";
        prices: Option<Prices>, "With `sink = \"file\"`: what one delivery costs, by the name it is charged as. The platform knows its own prices.";
        cap: Option<Amount>, "The most that the run may cost in all. Needs `prices`; the platform's own limit counts as well.";
        unbilled: Unbilled = "hold", "What happens to deliveries while they cannot be billed: `hold` keeps them in the log, `give` delivers them for nothing.";
        max_unsettled: NonZeroUsize = 1_000_000, "Deliveries that may be confirmed and not settled; beyond it, delivery waits.";
        max_owed: OrNone<Amount> = "1.00", "What one connection may have confirmed that is not settled, in money; beyond it, its delivery waits. What has no known price is not bounded.";
        payer: Payer = "auto", "With `sink = \"apify\"`, who pays: the `run`'s owner, or each client's `caller`, named by `X-Actor-Request-ID`. `auto`: as the platform says that the run is used.";
        anonymous: Anonymous = "refuse", "Where callers pay, what becomes of a client that the platform has not named: `refuse`, or `give` it all for nothing.";
        sse: Unproven = "give", "What becomes of clients of `GET /events`, who cannot prove what they get: `give` it for nothing, `bill` what was written to them, or `refuse` them.";
        key_life: Duration = "3m", "How long the platform remembers the key of a charge. Not to be changed for the platform itself.";
        call_timeout: Duration = "10s", "How long a call of the platform may take.";
    } later {
        bill: Vec<String> = vec!["live", "replay"], "Which deliveries count.";
    }
}

section! {
    AdminKeys {
        token: Option<Hidden>, "What operators prove themselves with (`Authorization: Bearer`). `${NAME}` is replaced. Without it, operations answer on loopback only.";
    } later {
        listen: SocketAddr, "A port of their own for operations. Without it, they share `server.listen`.";
    }
}

section! {
    InputKeys {
        allow: Vec<String> = Vec::<String>::new(), "What the input of a run may set: paths such as `log.max_age` or `source.pairs.every`, whose properties are called `log__max_age` and `source__pairs__every`. Keys of `log`, `snapshot`, `client` and `limits`, and of sources those that say neither where to connect nor what to run.";
    }
}

choice!(Confirm: "pong" => Confirm::Pong, "ack" => Confirm::Ack);
choice!(ForwardedBy: "x-forwarded-for" => ForwardedBy::XForwardedFor, "forwarded" => ForwardedBy::Forwarded);
choice!(Overflow: "disconnect" => Overflow::Disconnect, "catch_up" => Overflow::CatchUp, "skip" => Overflow::Skip);
choice!(AuthorizationHeader: "ours" => AuthorizationHeader::Ours, "foreign" => AuthorizationHeader::Foreign);
