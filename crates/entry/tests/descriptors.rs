//! A server that has run out of file descriptors. A process of its own, because the limit is the process's.

#[cfg(test)]
#[path = "http/support.rs"]
#[expect(dead_code, reason = "shared with the other tests; this one needs a part")]
mod support;

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use tokio::net::TcpStream;

    use super::support::{Log, Server, within};

    #[tokio::test]
    async fn a_server_out_of_descriptors_keeps_its_clients_and_recovers() {
        let log = Log::default();
        let _guard = log.listen();
        let server = Server::start();
        let mut inside = server.connect().await;
        inside.send("GET /live HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(inside.reply().await.status, 200);

        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: before.maximum }).unwrap();
        let mut crowd = Vec::new();
        while let Ok(stream) = within(TcpStream::connect(server.address)).await {
            crowd.push(stream);
        }
        assert!(crowd.len() > 8);
        // Not one descriptor is left: what still waits at the door cannot be accepted.
        inside.send("GET /status HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(inside.reply().await.status, 200, "who is inside is not affected");

        // The door tries again and again in the time that these take; it says so once.
        for _ in 0..100 {
            inside.send("GET /live HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(inside.reply().await.status, 200);
        }
        assert_eq!(log.text().matches("cannot accept connections").count(), 1);
        assert_eq!(server.counts.is_shut(), 1);
        assert!(server.counts.accept_failures() > 0);

        drop(crowd);
        assert_eq!(within(server.get("/live")).await.status, 200, "and then the door opens again");
        assert_eq!(server.counts.is_shut(), 0);
        assert_eq!(log.text().matches("connections are accepted again").count(), 1);
    }
}
