//! A cluster, and a server behind TLS.

use super::*;

#[cfg(feature = "cluster")]
#[test]
#[ignore = "needs redis-server"]
fn the_store_of_a_cluster_passes_the_suite() {
    let folder = Folder::new("cluster");
    let server = Server::start_with(&["--cluster-enabled", "yes", "--dir", folder.path()]);
    server.run("CLUSTER ADDSLOTSRANGE 0 16383");
    while !server.run("CLUSTER INFO").contains("cluster_state:ok") {
        std::thread::yield_now();
    }
    runtime().block_on(async {
        let (store, time) = over(Connection::cluster(&[&server.address]).unwrap());
        crate::suite::check(&Stage {
            server,
            store,
            time,
        })
        .await;
    });
}

/// The test starts itself again as the process that trusts the server's certificate.
#[cfg(feature = "tls")]
#[test]
#[ignore = "needs redis-server and openssl"]
fn a_server_is_reached_over_tls() {
    const ADDRESS: &str = "TRIPCURVE_FLEET_TEST_ADDRESS";
    if let Ok(address) = std::env::var(ADDRESS) {
        let pulsed = runtime().block_on(async {
            let store = RedisStore::open(&address).unwrap();
            store.announcements("suite").await.unwrap();
            store.pulse(&key("tls"), &pulse(1)).await
        });
        assert_eq!(pulsed.unwrap().view.members, 1);
        return;
    }
    let folder = Folder::new("tls");
    let [config, cert, secret] = ["config", "cert", "key"].map(|it| folder.file(it));
    let text = "[req]\ndistinguished_name=n\nx509_extensions=x\nprompt=no\n[n]\nCN=test\n\
        [x]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=IP:127.0.0.1\n";
    std::fs::write(&config, text).unwrap();
    let made = std::process::Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", &config,
        ])
        .args(["-keyout", &secret, "-out", &cert])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    // The one port speaks TLS.
    let files = [
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &secret,
        "--tls-ca-cert-file",
        &cert,
    ];
    let server = Server::start_tls(&files);
    let address = format!("rediss://127.0.0.1:{}/", server.port());
    let run = |certificates: &str| {
        let program = std::env::current_exe().unwrap();
        std::process::Command::new(program)
            .args([
                "--exact",
                "redis::tests::elsewhere::a_server_is_reached_over_tls",
                "--include-ignored",
            ])
            .env(ADDRESS, &address)
            .env("SSL_CERT_FILE", certificates)
            .output()
            .unwrap()
    };
    let trusting = run(&cert);
    assert!(
        trusting.status.success(),
        "{}",
        String::from_utf8_lossy(&trusting.stdout)
    );
    assert!(
        !run("/dev/null").status.success(),
        "a certificate that nobody trusts"
    );
}

/// A folder that is deleted after the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tripcurve-fleet-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    #[cfg(feature = "tls")]
    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
