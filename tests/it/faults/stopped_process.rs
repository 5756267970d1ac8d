//! A process that is stopped, as by a debugger or a suspended machine, and continues.
//!
//! The test starts its own program again, which runs the ignored test below.

use std::env::{current_exe, var_os};
use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;

use super::*;
use tripcurve::TripPolicy;
use tripcurve::handles::OwnedPermit;
use tripcurve::window::Window;

const CHILD: &str = "TRIPCURVE_STOPPED_PROCESS";
const READY: &str = "ready to be stopped";
const DONE: &str = "went on as it should";

fn signal(child: &Child, name: &str) {
    let command = format!("kill -{name} {}", child.id());
    let sent = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(sent.success(), "{command}");
}

/// Reads lines until one has this text.
fn read_until(lines: &mut impl BufRead, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "no {text:?}");
    }
}

/// Stops a process for so long, and lets it continue.
fn stops_for(pause: Duration) {
    let mut child = Command::new(current_exe().unwrap())
        .args(["what_a_stopped_process_does", "--ignored", "--nocapture"])
        .env(CHILD, "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    read_until(&mut lines, READY);
    signal(&child, "STOP");
    sleep(pause);
    signal(&child, "CONT");
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    read_until(&mut lines, DONE);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_process_that_was_stopped_goes_on_as_after_an_idle_time() {
    stops_for(Duration::from_millis(600));
}

#[test]
#[ignore = "it takes a minute"]
fn a_process_that_was_stopped_for_a_minute_goes_on_as_after_an_idle_time() {
    stops_for(Duration::from_secs(60));
}

/// Settings on the system's clock that forget and wait for half a second at most.
fn brief() -> CircuitBreaker {
    let builder = CircuitBreaker::builder("stopped")
        .window(Window::time(500 * MILLI, 5))
        .trip_when(TripPolicy::consecutive_failures(5))
        .open_for(500 * MILLI)
        .probes(1);
    builder.build().unwrap()
}

/// The default policy with a limit for slow calls, which every call exceeds while nothing runs.
fn timed() -> CircuitBreaker {
    let policy = TripPolicy::adaptive().slower_than(100 * MILLI);
    let builder = CircuitBreaker::builder("timed").trip_when(policy);
    builder.build().unwrap()
}

fn fail(breaker: &CircuitBreaker, calls: u32) {
    for _ in 0..calls {
        breaker.try_acquire().unwrap().failure();
    }
}

#[test]
#[ignore = "the other test of this file starts it in a process of its own"]
fn what_a_stopped_process_does() {
    if var_os(CHILD).is_none() {
        return;
    }
    let (closed, open) = (brief(), brief());
    let in_flight = closed.try_acquire_owned().unwrap();
    let timed = timed();
    // A breaker that knows its traffic can tell a pause of its process.
    for _ in 0..1_500 {
        timed.try_acquire().unwrap().success();
        sleep(Duration::from_millis(1));
    }
    let held_up: Vec<_> = (0..40)
        .map(|_| timed.try_acquire_owned().unwrap())
        .collect();
    fail(&open, 5);
    assert!(open.try_acquire().is_err());
    fail(&closed, 4);
    println!("{READY}");
    assert_ne!(stdin().read_line(&mut String::new()).unwrap(), 0);

    // The window has forgotten the failures, and the run of failures is over.
    assert_eq!(closed.snapshot().failures(), 0);
    in_flight.failure();
    assert_eq!(closed.snapshot().failures(), 1);
    fail(&closed, 3);
    assert_eq!(closed.state(), State::Closed);
    fail(&closed, 1);
    assert_eq!(closed.state(), State::Open);
    // The pause was this process's own, and no slowness of the dependency.
    held_up.into_iter().for_each(OwnedPermit::success);
    assert_eq!(timed.state(), State::Closed);
    // The open time is over.
    open.try_acquire().unwrap().success();
    assert_eq!(open.state(), State::Closed);
    println!("{DONE}");
}
