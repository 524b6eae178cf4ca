//! The real listener on a real port, spoken to in exact bytes.

#[cfg(test)]
mod deadlines;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod handshake;
mod idempotency;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod support;
