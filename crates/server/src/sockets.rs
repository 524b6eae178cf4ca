//! The process's sockets, as the system counts them.

use std::fs;

/// A socket that is listening, in the system's table (`TCP_LISTEN`).
const LISTENING: &str = "0A";

/// How many TCP sockets of the local port `port` are held by a process: accepted, and not closed by it. Nothing where the
/// system does not tell (it is read from `/proc/self/net`, as in proc(5)).
pub(crate) fn held_at(port: u16) -> Option<u64> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(fs::read_to_string);
    // Without IPv6 there is no second table.
    let found: Vec<_> = tables.into_iter().flatten().map(|table| held_in(&table, port)).collect();
    (!found.is_empty()).then(|| found.into_iter().sum())
}

fn held_in(table: &str, port: u16) -> u64 {
    let suffix = format!(":{port:04X}");
    let held = table.lines().skip(1).filter(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (local, state, inode) = (fields.nth(1), fields.nth(1), fields.nth(5));
        let is_ours = local.is_some_and(|local| local.ends_with(&suffix)) && state != Some(LISTENING);
        // One that waits to be accepted, or was closed and lingers in the kernel, has no inode.
        is_ours && inode.is_some_and(|inode| inode != "0")
    });
    held.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_socket_counts_from_accept_to_close() {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = door.local_addr().unwrap().port();
        let Some(none) = held_at(port) else { return };
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!((none, held_at(port)), (0, Some(0)), "it waits to be accepted");
        let (served, _) = door.accept().unwrap();
        assert_eq!(held_at(port), Some(1));
        drop(client);
        assert_eq!(held_at(port), Some(1), "that the peer has gone does not close it");
        drop(served);
        assert_eq!(held_at(port), Some(0));
    }
}
