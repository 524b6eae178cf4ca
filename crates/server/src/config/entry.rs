//! What the entry is told. Besides the keys, what nobody has a reason to set: it is fixed here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use standpipe_entry::{
    Config, Operations, Proxies,
    config::{Allowance, Deadlines, Guests, Limits, Socket},
};
use standpipe_protocol::command::Secret;
use standpipe_selection::Bounds;

use super::{
    numbers::in_memory,
    plan::Plan,
    sections::{AdminKeys, AuthKeys, LimitKeys},
    texts::Hidden,
    valid::Server,
};

/// The kernel sizes its buffer by how far the client is; what it may hold unsent is a few writes, so that a client that
/// does not keep up shows in its outbox and not in the kernel.
const SOCKET: Socket = Socket { send_buffer_bytes: None, max_unsent_bytes: Some(64 << 10) };

fn deadlines(client: &standpipe_connections::Config) -> Deadlines {
    Deadlines {
        head: Duration::from_secs(10),
        body: Duration::from_secs(30),
        stream: Duration::from_secs(3600),
        answer: Duration::from_secs(10),
        write: Duration::from_secs(10),
        // As long as a WebSocket may say nothing.
        unacknowledged: client.ping_interval + client.pong_timeout,
        drain: Duration::from_secs(2),
    }
}

/// The entry's configuration.
pub(super) fn entry(
    server: &Server,
    client: &standpipe_connections::Config,
    bounds: Bounds,
    params: Vec<String>,
    plans: &BTreeMap<Arc<str>, Plan>,
    (limits, auth, admin): (LimitKeys, AuthKeys, AdminKeys),
) -> Config {
    Config {
        listen: server.listen,
        socket: SOCKET,
        limits: Limits {
            max_http: limits.max_http,
            max_publishing: limits.max_publishing,
            max_body_bytes: in_memory(limits.max_publish_bytes),
            max_stream_bytes: in_memory(limits.max_publish_stream),
            max_line_bytes: in_memory(limits.max_publish_line),
            max_inputs: limits.max_publish_inputs.get(),
        },
        guests: guests(&limits, plans),
        deadlines: deadlines(client),
        proxies: Proxies { networks: limits.trusted_proxies, header: limits.proxy_header },
        operations: admin.token.map_or(Operations::Local, |Hidden(token)| Operations::Token(Secret(token))),
        origins: auth.allowed_origins.0,
        authorization: auth.authorization_header,
        bounds,
        params,
    }
}

/// What a credential may use that names no plan.
pub(super) fn of_credential(limits: &LimitKeys) -> Allowance {
    Allowance {
        max_connections: limits.max_connections_per_credential.0,
        connect_rate: limits.connect_rate_per_credential.0,
        publish_rate: limits.publish_rate_per_credential.0,
        unproven_rate: limits.unproven_rate_per_credential.0,
    }
}

fn guests(limits: &LimitKeys, plans: &BTreeMap<Arc<str>, Plan>) -> Guests {
    Guests {
        max_connections: limits.max_connections,
        max_http: limits.max_http_per_ip.0,
        address: Allowance {
            max_connections: limits.max_connections_per_ip.0,
            connect_rate: limits.connect_rate_per_ip.0,
            publish_rate: limits.publish_rate_per_ip.0,
            unproven_rate: limits.unproven_rate_per_ip.0,
        },
        credential: of_credential(limits),
        plans: plans.iter().map(|(name, plan)| (Arc::clone(name), plan.allowance)).collect(),
        max_addresses: limits.max_addresses,
        max_refusal_delay: limits.max_refusal_delay.0,
    }
}
