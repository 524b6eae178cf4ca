//! The process's sockets, as the system counts them.

use std::{collections::HashSet, fs, path::Path};

/// A socket that is listening, in the system's table (`TCP_LISTEN`).
const LISTENING: &str = "0A";

/// How many TCP sockets of the local port `port` this process holds: accepted, and not closed by it. Nothing where the
/// system does not tell (it is read from `/proc/self`, as in proc(5)).
pub(crate) fn held_at(port: u16) -> Option<u64> {
    // The table is that of the network, not of the process: the other end of a connection from this machine may by chance
    // have the same port at another address.
    let ours = inodes(Path::new("/proc/self/fd"))?;
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(fs::read_to_string);
    // Without IPv6 there is no second table.
    let found: Vec<_> = tables.into_iter().flatten().map(|table| held_in(&table, port, &ours)).collect();
    (!found.is_empty()).then(|| found.into_iter().sum())
}

/// The sockets among the open files of a process.
fn inodes(files: &Path) -> Option<HashSet<String>> {
    let links = fs::read_dir(files).ok()?.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    let inode = |link: &Path| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    Some(links.filter_map(|link| inode(&link)).collect())
}

fn held_in(table: &str, port: u16, ours: &HashSet<String>) -> u64 {
    let suffix = format!(":{port:04X}");
    let held = table.lines().skip(1).filter(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (local, state, inode) = (fields.nth(1), fields.nth(1), fields.nth(5));
        let is_there = local.is_some_and(|local| local.ends_with(&suffix)) && state != Some(LISTENING);
        is_there && inode.is_some_and(|inode| ours.contains(inode))
    });
    held.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn sockets_of_others_at_the_same_port_are_not_counted() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 10 1 0\n\
            1: 0100007F:1F90 0200007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 11 1 0\n\
            2: 0200007F:1F90 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0\n\
            3: 0100007F:1F91 0200007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0\n\
            4: 0100007F:1F90 0200007F:9998 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0\n";
        let ours = ["10", "11", "13"].map(str::to_owned).into();
        assert_eq!(held_in(table, 8080, &ours), 1);
    }

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
