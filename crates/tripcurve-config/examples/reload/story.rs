//! The changes of the file while calls run, and their expected effects.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tripcurve::State;

use crate::backend::{Backend, Client};
use crate::breakers::Breakers;
use crate::load::{Account, CALLERS, Load, TENANTS};
use crate::watch::Watched;
use crate::{Failure, Report, follow};

/// The file's text at first.
const FILE: &str = include_str!("breakers.toml");

/// No step takes this long.
const TOO_LONG: Duration = Duration::from_secs(5);

pub(crate) async fn play() -> Result<(), Failure> {
    println!("{FILE}");
    let mut stage = Stage::new().await?;
    sleep(Duration::from_millis(500)).await;
    println!("Callers ask all the time. A limit of search is changed.");
    stage.a_limit().await?;
    println!("\nSomebody mistypes the limit of payments, and then they fail.");
    stage.a_limit_in_an_outage().await?;
    println!("\nThe file has mistakes.");
    stage.mistakes().await?;
    println!("\nThe window of payments gets shorter.");
    stage.a_window().await?;
    println!("\nThe template of the tenants is changed.");
    stage.a_template().await?;
    println!("\nThe callers stop, and all calls are counted.");
    stage.count().await
}

/// Everything that the story uses.
struct Stage {
    backend: Backend,
    client: Client,
    breakers: Arc<Breakers>,
    load: Load,
    /// The calls that aren't made by the constant callers.
    others: Account,
    file: Temporary,
    text: String,
    reports: mpsc::UnboundedReceiver<Report>,
}

impl Stage {
    async fn new() -> Result<Self, Failure> {
        let backend = Backend::start().await?;
        let client = Client::new(backend.address);
        let file = Temporary::new()?;
        let watched = Watched::start(&file.path())?;
        let breakers = Arc::new(Breakers::new(watched.text())?);
        Ok(Self {
            load: Load::start(&breakers, &client),
            reports: follow(watched, &breakers),
            text: FILE.to_owned(),
            others: Account::default(),
            backend,
            client,
            breakers,
            file,
        })
    }

    /// Changes the file. The change must be applied.
    async fn change(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        self.text = edited(&self.text, from, to)?;
        self.file.replace(&self.text)?;
        let came = self.report().await??;
        println!("  applied: {came}");
        Ok(())
    }

    async fn report(&mut self) -> Result<Report, Failure> {
        let report = timeout(TOO_LONG, self.reports.recv()).await?;
        report.ok_or_else(|| "nobody follows the file".into())
    }

    async fn a_limit(&mut self) -> Result<(), Failure> {
        let before = self.breakers.search.snapshot().calls();
        check("search counts calls", before > 0)?;
        self.change("failure_rate = 0.5", "failure_rate = 0.25")
            .await?;
        let after = self.breakers.search.snapshot().calls();
        println!("  search had counted {before} calls, and now {after}");
        check("it has kept its window", after >= before)
    }

    async fn a_limit_in_an_outage(&mut self) -> Result<(), Failure> {
        let breakers = Arc::clone(&self.breakers);
        let payments = &breakers.payments;
        self.change("consecutive_failures = 5", "consecutive_failures = 5000")
            .await?;
        self.backend.fail(&["payments"]);
        until("twenty have failed", || {
            payments.snapshot().failures() >= 20
        })
        .await?;
        println!("  {}", payments.snapshot());
        check("it is still closed", payments.state() == State::Closed)?;
        self.change("consecutive_failures = 5000", "consecutive_failures = 5")
            .await?;
        until("it is open", || payments.state() == State::Open).await?;
        println!("  the breaker is open");
        self.backend.fail(&[]);
        until("it is closed", || payments.state() == State::Closed).await?;
        println!("  payments work again, and it is closed");

        let before = self.load.payments.sums().failed;
        self.backend.fail(&["payments"]);
        until("it is open", || payments.state() == State::Open).await?;
        let failed = self.load.payments.sums().failed - before;
        self.backend.fail(&[]);
        println!("  they fail again, {failed} times, and it is open");
        check(
            "after five, and those that were on their way",
            failed < 5 + CALLERS,
        )?;
        until("it is closed", || payments.state() == State::Closed).await
    }

    async fn mistakes(&mut self) -> Result<(), Failure> {
        let before = self.breakers.search.snapshot().calls();
        for (from, to, expected) in [
            (
                "buckets = 10",
                "buckets = 0",
                "breakers.payments.window.buckets: 0 is not in 1..=1024",
            ),
            (
                "open_for = \"300ms\"",
                "open_fro = \"300ms\"",
                "breakers.payments.open_fro: unknown key",
            ),
            (
                "[breakers.search]",
                "[breakers.serach]",
                "breakers: \"search\" is not one of payments, serach",
            ),
        ] {
            // Overwrites the file in place, as a shell does.
            self.file.overwrite(&edited(&self.text, from, to)?)?;
            match self.report().await? {
                Err(error) if error.contains(expected) => {
                    println!("  refused: {}", indented(&error));
                }
                other => return Err(format!("{expected:?} was expected, not {other:?}").into()),
            }
        }
        self.file.overwrite(&self.text)?;
        let came = self.report().await??;
        println!("  mended: {came}");
        let after = self.breakers.search.snapshot().calls();
        check(
            "search has kept its window through all this",
            after >= before,
        )
    }

    async fn a_window(&mut self) -> Result<(), Failure> {
        let breakers = Arc::clone(&self.breakers);
        let payments = &breakers.payments;
        until("it counts some", || payments.snapshot().calls() > 20).await?;
        let before = payments.snapshot().calls();
        self.change("length = \"60s\"", "length = \"10s\"").await?;
        let after = payments.snapshot().calls();
        println!("  payments had counted {before} calls, and now {after}");
        check("it has kept the newest calls", after > 0)
    }

    async fn a_template(&mut self) -> Result<(), Failure> {
        self.backend.fail(&["tenant-c", "tenant-d"]);
        self.ask("tenant-c").await;
        let is = |stage: &Self, tenant, state| {
            stage.breakers.tenants.get_or_create(tenant).state() == state
        };
        let is_closed = is(self, "tenant-c", State::Closed);
        check(
            "tenant-c has failed once, and its breaker is closed",
            is_closed,
        )?;
        self.change("consecutive_failures = 3", "consecutive_failures = 2")
            .await?;
        self.ask("tenant-c").await;
        let is_open = is(self, "tenant-c", State::Open);
        check("it fails for the second time, and is open", is_open)?;
        self.ask("tenant-d").await;
        self.ask("tenant-d").await;
        let is_open = is(self, "tenant-d", State::Open);
        check("so is that of tenant-d, which came later", is_open)
    }

    async fn ask(&self, tenant: &str) {
        let breaker = self.breakers.tenants.get_or_create(tenant);
        self.others.ask(tenant, &breaker, &self.client).await;
    }

    async fn count(&mut self) -> Result<(), Failure> {
        self.load.stop().await?;
        let Load {
            payments, search, ..
        } = &self.load;
        let tenants = TENANTS.into_iter().zip(&self.load.tenants);
        let named = [("payments", payments), ("search", search)];
        let mut made = self.others.sums().made();
        for (name, account) in named.into_iter().chain(tenants.clone()) {
            let sums = account.sums();
            println!("  {name}: {sums}");
            check(
                "each has come back, with its own answer",
                sums.is_complete(),
            )?;
            made += sums.made();
        }
        check(
            "the server was asked as often",
            made == self.backend.calls(),
        )?;
        // Their windows are a minute long, and neither they nor their states have changed.
        let search = (self.breakers.search.clone(), search);
        let tenants =
            tenants.map(|(name, account)| (self.breakers.tenants.get_or_create(name), account));
        for (breaker, account) in [search].into_iter().chain(tenants) {
            println!("  {}", breaker.snapshot());
            let has_all = breaker.snapshot().calls() == account.sums().answered;
            check("each of its calls is in its window", has_all)?;
        }
        Ok(())
    }
}

/// A file in its own folder, which is removed on drop.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("tripcurve-reload-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let file = Self(folder);
        file.overwrite(FILE)?;
        Ok(file)
    }

    fn path(&self) -> PathBuf {
        self.0.join("breakers.toml")
    }

    fn overwrite(&self, text: &str) -> Result<(), Failure> {
        Ok(fs::write(self.path(), text)?)
    }

    /// Replaces the file as editors do.
    fn replace(&self, text: &str) -> Result<(), Failure> {
        let other = self.0.join("breakers.toml.new");
        fs::write(&other, text)?;
        Ok(fs::rename(other, self.path())?)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // If this fails, the folder stays among the temporary files, without harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The text with one change.
fn edited(text: &str, from: &str, to: &str) -> Result<String, Failure> {
    println!("  {from}  →  {to}");
    if !text.contains(from) {
        return Err(format!("the file has no {from}").into());
    }
    Ok(text.replacen(from, to, 1))
}

/// The lines of an error after the first one.
fn indented(error: &str) -> String {
    error.trim().replace('\n', "\n    ")
}

async fn until(what: &str, is_so: impl Fn() -> bool) -> Result<(), Failure> {
    let comes = async {
        while !is_so() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    let came = timeout(TOO_LONG, comes).await;
    came.map_err(|_| format!("it never came that {what}").into())
}

fn check(what: &str, is_so: bool) -> Result<(), Failure> {
    println!("  {what}: {}", if is_so { "yes" } else { "no" });
    if is_so {
        Ok(())
    } else {
        Err("that was not to be".into())
    }
}
