//! The server that does nothing but `send`; see [`standpipe_bench::floor`].

use std::{io::Write as _, net::TcpListener};

use standpipe_bench::{announce, floor::Floor};

fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    std::io::stdout().write_all(announce(listener.local_addr()?).as_bytes())?;
    Floor::serve(listener)
}
