//! Members with the user that the README and the guide give.

use tripcurve::CircuitBreaker;

use super::members::{members_at, open_as_one};
use super::server::Server;
use super::{RedisStore, runtime};
use crate::member::{Fleet, StoreStatus};

/// The command of a page that makes the user.
fn user(page: &str) -> &str {
    let mut lines = page.lines();
    lines.find(|it| it.starts_with("ACL SETUSER")).unwrap()
}

fn readme() -> &'static str {
    user(include_str!("../../../README.md"))
}

#[test]
fn the_guide_gives_the_user_of_the_readme() {
    let guide = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../src/docs/guide/fleets.md"
    );
    assert_eq!(user(&std::fs::read_to_string(guide).unwrap()), readme());
}

/// The server's address for the user.
fn address(server: &Server) -> String {
    let user = "redis://tripcurve:PASSWORD@";
    server.address.replace("redis://", user)
}

#[test]
#[ignore = "needs redis-server"]
fn members_with_that_user_open_and_recover_as_one() {
    let server = Server::start();
    server.run(readme());
    runtime().block_on(async {
        let members = members_at(&address(&server)).await;
        open_as_one(&members).await;
    });
    let client = redis::Client::open(&*server.address).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut log = redis::cmd("ACL");
    let denied: Vec<redis::Value> = log.arg("LOG").query(&mut connection).unwrap();
    assert_eq!(denied, []);
}

/// Each right of the user is needed, so that the page asks for no more than it must.
#[test]
#[ignore = "needs redis-server"]
fn a_member_without_a_right_says_which_one_is_missing() {
    let server = Server::start();
    for (right, named) in [
        ("+evalsha", "evalsha"),
        ("+subscribe", "subscribe"),
        ("&tripcurve:*", "channel"),
        ("~tripcurve:*", "key"),
        ("+hset", "this command"),
        ("+script|load", "script|load"),
    ] {
        server.run("ACL DELUSER tripcurve");
        server.run("SCRIPT FLUSH");
        server.run(&readme().replace(&format!(" {right}"), ""));
        runtime().block_on(async {
            let store = RedisStore::open(&address(&server)).unwrap();
            let fleet = Fleet::builder("shop").store(store).spawn().unwrap();
            let breaker = CircuitBreaker::builder("payments").build().unwrap();
            fleet.join(&breaker).unwrap().await;
            let StoreStatus::LocalOnly { reason } = fleet.status().store else {
                panic!("{right} isn't needed");
            };
            assert!(reason.contains(named), "{right}: {reason}");
            assert!(!reason.contains("PASSWORD"), "{reason}");
        });
    }
}
