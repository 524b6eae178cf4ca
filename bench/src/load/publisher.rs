//! One HTTP connection that publishes, one request at a time.

use std::os::fd::OwnedFd;

use anyhow::{bail, ensure};

use crate::{
    http::Message,
    socket::{self, Read},
};

/// See the file's description.
pub(super) struct Publisher {
    pub(super) socket: OwnedFd,
    out: Vec<u8>,
    held: Vec<u8>,
    pub(super) is_free: bool,
}

impl Publisher {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, out: Vec::new(), held: Vec::new(), is_free: true }
    }

    /// Sends what `make` makes. The publisher is free again when that is answered.
    pub(super) fn send(&mut self, make: impl FnOnce(&mut Vec<u8>)) -> anyhow::Result<()> {
        make(&mut self.out);
        self.is_free = false;
        self.flush()
    }

    /// Sends what has not been sent.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        ensure!(socket::write(&self.socket, &mut self.out), "a publisher's connection is lost");
        Ok(())
    }

    /// Reads what has come. False if the connection has come to its end, without loss: the server closed it while it was
    /// not in use, or said in its answer that it would.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<bool> {
        match socket::read(&self.socket, buffer) {
            Read::Nothing => return Ok(true),
            Read::End if self.is_free => return Ok(false),
            Read::End => bail!("the server has closed a publisher's connection"),
            Read::Bytes(come) => self.held.extend_from_slice(buffer.get(..come).unwrap_or_default()),
        }
        if let Some((answer, rest)) = Message::first(&self.held)? {
            let text = String::from_utf8_lossy(answer.body);
            ensure!(
                matches!(answer.status(), Some(200..300)),
                "publishing was answered `{}` {text}",
                answer.first_line
            );
            ensure!(rest.is_empty(), "the server has answered what was not asked");
            let is_last = answer.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            self.held.clear();
            self.is_free = true;
            return Ok(!is_last);
        }
        Ok(true)
    }
}
