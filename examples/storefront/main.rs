//! Two storefronts in the same bad half-minute, one with circuit breakers and one without.
//!
//! ```text
//! cargo run --release --example storefront
//! ```
//!
//! Each storefront has its own backend, an axum server on loopback. So neither suffers from the
//! other's calls. Both backends play one script of faults at the same time ([`script`]). Both
//! storefronts run the same code ([`storefront`]), and get equally many shoppers ([`shoppers`]).
//! [`breakers`] has the breakers and their policies. [`storefront`] puts them around the client, with
//! the layer for tower.

mod args;
mod backend;
mod breakers;
mod client;
mod dice;
mod files;
mod ledger;
mod plain;
mod report;
mod screen;
mod script;
mod shelf;
mod shoppers;
mod stage;
mod stop;
mod storefront;
mod text;

// Compiled once for all examples.
use example_http as _;

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tripcurve::events::Transition;

use args::Args;
use backend::Backend;
use breakers::Breakers;
use client::Client;
use ledger::Ledger;
use plain::Plain;
use screen::Screen;
use script::Script;
use stage::{Event, Side, Stage};
use storefront::Storefront;

/// Any seed works, as long as both sides get the same one.
const SEED: u64 = 2_024;

/// How long after the script the last pages may still come. They take little more than a second,
/// unless the machine itself is overloaded.
const GRACE: Duration = Duration::from_secs(3);

/// How often the view is updated.
const REFRESH: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let (plain, rate) = match args::parse(std::env::args_os().skip(1)) {
        Ok(Args::Run { plain, rate }) => (plain, rate),
        Ok(Args::Help) => return finish(writeln!(io::stdout(), "{}", args::USAGE).map(|()| 0)),
        Err(error) => {
            eprintln!("storefront: {error}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    finish(run(plain, rate))
}

/// The exit code of the run, and a message if it failed.
fn finish(result: Result<u8, impl Into<Box<dyn Error>>>) -> ExitCode {
    match result.map_err(Into::into) {
        Ok(code) => ExitCode::from(code),
        // The reader of our output has closed it, as `head` does.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("storefront: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(plain: bool, rate: u32) -> Result<u8, Box<dyn Error>> {
    let connections = files::connections_each()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(play(plain, rate, connections));
    // This stops the servers without waiting for their last calls.
    runtime.shutdown_background();
    code
}

async fn play(plain: bool, rate: u32, connections: usize) -> Result<u8, Box<dyn Error>> {
    let script = Script::start();
    let (happened, events) = mpsc::channel();
    // A listener runs on the path of the call that changed the state, so it only passes the news
    // on.
    let listener = move |transition: &Transition| {
        // It fails when the run is over and the receiver is gone.
        _ = happened.send(Event::new(script.elapsed(), transition));
    };
    let stage = Stage {
        script,
        rate,
        protected: open(script, connections, Some(Breakers::new(listener)?)).await?,
        bare: open(script, connections, None).await?,
        events,
    };
    let [protected, bare] = stage.sides().map(|side| {
        let storefront = Arc::clone(&side.storefront);
        tokio::spawn(shoppers::come(storefront, script, rate, SEED))
    });

    let mut view = View::open(plain, &stage)?;
    let ending = watch(&mut view, &stage, protected, bare).await;
    // Restores the terminal before the final output.
    drop(view);
    let code = ending?;
    let lasted = script.elapsed().min(script::LENGTH);
    write!(io::stdout(), "{}", report::report(&stage, lasted))?;
    Ok(code)
}

/// Makes a storefront, and a backend for it.
async fn open(
    script: Script,
    connections: usize,
    breakers: Option<Breakers>,
) -> Result<Side, Box<dyn Error>> {
    let backend = Backend::start(script, SEED)
        .await
        .map_err(|error| format!("cannot serve on loopback: {error}"))?;
    // Otherwise the run would only show a network that doesn't work.
    TcpStream::connect(backend.address)
        .await
        .map_err(|error| format!("cannot reach {}: {error}", backend.address))?;
    let client = Client::new(backend.address, connections);
    let storefront = Storefront::new(script, &client, breakers, Ledger::new()?);
    Ok(Side {
        storefront: Arc::new(storefront),
        backend,
    })
}

type Shoppers = JoinHandle<Result<(), tokio::task::JoinError>>;

/// Shows the run until the last shopper is served or the user stops it. Returns the exit code.
async fn watch(
    view: &mut View,
    stage: &Stage,
    protected: Shoppers,
    bare: Shoppers,
) -> Result<u8, Box<dyn Error>> {
    let mut tick = interval(REFRESH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let closing = stage.script.instant(script::LENGTH + GRACE);
    let mut closed = std::pin::pin!(sleep_until(closing));
    let mut stop = std::pin::pin!(stop::requested());
    let mut shopped = std::pin::pin!(async { tokio::try_join!(protected, bare) });
    loop {
        tokio::select! {
            _ = tick.tick() => {
                view.update(stage)?;
                if view.wants_to_leave()? {
                    return Ok(stop::INTERRUPTED);
                }
            }
            () = &mut closed => return Ok(0),
            code = &mut stop => return Ok(code?),
            done = &mut shopped => {
                let (protected, bare) = done?;
                protected?;
                bare?;
                view.update(stage)?;
                return Ok(0);
            }
        }
    }
}

enum View {
    Screen(Screen),
    Plain(Plain),
}

impl View {
    fn open(plain: bool, stage: &Stage) -> io::Result<Self> {
        if plain || !io::stdout().is_terminal() || !screen::fits() {
            Plain::new(stage).map(Self::Plain)
        } else {
            Screen::open().map(Self::Screen)
        }
    }

    fn update(&mut self, stage: &Stage) -> io::Result<()> {
        match self {
            Self::Screen(screen) => screen.update(stage),
            Self::Plain(plain) => plain.update(stage),
        }
    }

    fn wants_to_leave(&self) -> io::Result<bool> {
        match self {
            Self::Screen(_) => screen::leave_pressed(),
            Self::Plain(_) => Ok(false),
        }
    }
}
