//! A real nginx, with what a test wants of it.

use std::{fs, net::SocketAddr, process::Command};

use tempfile::TempDir;

use crate::{
    process::Process,
    wait::{PATIENCE, eventually},
};

/// A running nginx. It ends when dropped.
pub struct Nginx {
    addr: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

/// Whether it is installed.
pub fn is_installed() -> bool {
    Command::new("nginx").arg("-v").output().is_ok()
}

impl Nginx {
    /// Runs it with this content of its `http` section, which is made of the address that it is to listen at.
    ///
    /// # Panics
    /// If `nginx -t` finds something wrong with it.
    pub async fn start(http: impl FnOnce(SocketAddr) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|door| door.local_addr());
        let addr = free.expect("a free port");
        let path = folder.path().display();
        let config = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {path}; proxy_temp_path {path}; fastcgi_temp_path {path};\n\
             uwsgi_temp_path {path}; scgi_temp_path {path};\n{} }}\n",
            http(addr)
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).expect("a temporary file can be written");
        let nginx = || {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
            command
        };
        let tested = nginx().arg("-t").output().expect("nginx can be run");
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
        let process = Process::start("nginx", &mut nginx());
        eventually("nginx", PATIENCE, async || tokio::net::TcpStream::connect(addr).await.map_err(|e| e.to_string()))
            .await;
        Self { addr, _process: process, _folder: folder }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
