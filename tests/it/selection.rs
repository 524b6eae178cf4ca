//! Each client gets exactly what it asked for: judged by programs that read the recording and know nothing of the server.

mod changes;
mod followers;
mod market;
mod refused;

/// Told often, so that a test soon knows that all was sent.
const HEARTBEAT: &str = "[client]\nheartbeat = \"200ms\"\n";
