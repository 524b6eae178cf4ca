//! The smallest HTTP/1.1 client that will do: one request on its own connection, the whole answer, no redirects.

use std::{net::SocketAddr, str};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    secrets,
    wait::{PATIENCE, within},
};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with its transfer encoding taken off.
    pub body: String,
}

/// A request: the method, the path with its query, further headers, the body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// `GET` if empty.
    pub method: &'a str,
    /// Begins with `/`.
    pub path: &'a str,
    /// Besides `Host` and `Content-Length`. A `Host` given here replaces the address.
    pub headers: &'a [(&'a str, &'a str)],
    /// The content.
    pub body: &'a str,
}

/// A plain `GET`.
pub async fn get(addr: SocketAddr, path: &str) -> Response {
    send(addr, Request { path, ..Request::default() }).await
}

/// Sends a request and reads the answer to its end.
pub async fn send(addr: SocketAddr, request: Request<'_>) -> Response {
    let method = if request.method.is_empty() { "GET" } else { request.method };
    let host = addr.to_string();
    let length = request.body.len().to_string();
    let mut headers = vec![("Content-Length", length.as_str())];
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        headers.push(("Host", &host));
    }
    headers.extend(request.headers);
    let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {} HTTP/1.1\r\n{}\r\n", request.path, lines.concat());
    let what = format!("{method} {}", request.path);
    let answer = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(request.body.as_bytes()).await?;
        let mut answer = Vec::new();
        while !is_whole(&answer) && stream.read_buf(&mut answer).await? > 0 {}
        std::io::Result::Ok(answer)
    };
    let answer = within(&what, PATIENCE, answer).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    secrets::search("an answer", &String::from_utf8_lossy(&answer));
    Response::read(&answer).unwrap_or_else(|| panic!("{what}: not an answer: {}", String::from_utf8_lossy(&answer)))
}

/// Whether all that an answer promises has come. One that promises no length ends with its connection.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= end + 4 + length)
}

impl Response {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// Reads a whole answer; nothing if it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (head, body) = (str::from_utf8(bytes.get(..end)?).ok()?, bytes.get(end + 4..)?);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| line.split_once(':').map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()));
        let headers = lines.map(header).collect::<Option<Vec<_>>>()?;
        let mut response = Self { status, headers, body: String::new() };
        let chunked = response.header("transfer-encoding") == Some("chunked");
        let body = if chunked { unchunk(body)? } else { body.to_owned() };
        response.body = String::from_utf8(body).ok()?;
        Some(response)
    }
}

fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let size = str::from_utf8(bytes.get(..end)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + size)?);
        bytes = bytes.get(end + 2 + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_encoding_taken_off() {
        let plain = Response::read(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-A: b\r\n\r\nno").unwrap();
        assert_eq!((plain.status, plain.header("x-a"), plain.body.as_str()), (404, Some("b"), "no"));
        let chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(Response::read(chunks).unwrap().body, "abcde");
        assert_eq!(Response::read(b"nonsense"), None);
    }
}
