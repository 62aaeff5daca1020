//! One connection: opened, judged, and driven by the thread that uses it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use tokio_postgres::tls::{NoTls, TlsConnect, TlsStream};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, Notification, Statement};

use super::address::{Address, Server};
use super::fault::{lost, sorted, told};
use super::value::{Found, Value};
use super::wire::{Interest, Wire};
use crate::StoreError;
use crate::sql::{EachRow, Flow, Param, Sql, spelled};

/// A server that sends nothing for so long is given up: far longer than any statement of ours takes, and than a failover
/// with synchronous replication does; short enough that nobody waits for ever behind a server that hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Statements under way whose answers nobody has waited for yet; more wait for the first of them. Bounds their memory.
const SENT_MAX: usize = 256;

/// Statements prepared on one connection; more than the store has. Past it they are prepared anew: queries of evidence
/// are put together from conditions and may come in many forms.
const STATEMENTS_MAX: usize = 512;

/// The oldest server that is known to work: the first with everything the statements use, and supported until 2027-11.
const SERVER_VERSION_MIN: i64 = 150_000;

/// A statement under way that nobody waits for.
type Sent = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// The half of a connection that reads and writes, over TLS or not.
trait Line: Send {
    fn poll_message(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, Error>>>;
}

impl<T: TlsStream + Unpin + Send> Line for Connection<Wire, T> {
    fn poll_message(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, Error>>> {
        Connection::poll_message(self, context)
    }
}

/// One session with the server.
pub(super) struct Link {
    client: Arc<Client>,
    /// `None` once the connection is lost.
    line: Option<Box<dyn Line>>,
    interest: Arc<Interest>,
    waker: Waker,
    statements: HashMap<String, Statement>,
    sent: VecDeque<Sent>,
    /// Why the first of what was sent without waiting failed; nobody has been told yet.
    failed: Option<StoreError>,
    /// Why the connection was lost.
    lost: Option<String>,
    news: Vec<Notification>,
}

impl Link {
    /// Connects to the first server that answers and is the primary.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when none does; [`StoreError::Invalid`] when the server may not stand behind a promise.
    pub(super) fn open(address: &Address) -> Result<Self, StoreError> {
        let mut last = lost("no server is named");
        for server in address.servers() {
            match Self::to(address, &server) {
                Ok(link) => return Ok(link),
                Err(invalid @ StoreError::Invalid(_)) => return Err(invalid),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn to(address: &Address, server: &Server) -> Result<Self, StoreError> {
        let (wire, tls) = address.wire(server)?;
        let named = |error: Error| {
            let text = crate::error::chain(&error);
            StoreError::Unavailable(format!("PostgreSQL {}: {text}", address.name()))
        };
        let mut link = match tls {
            Some(tls) => Self::over(wire, tls, address.config()),
            None => Self::over(wire, NoTls, &plain(address.config())),
        }
        .map_err(named)?;
        link.prepare_session(address.name())?;
        Ok(link)
    }

    fn over<T>(wire: Wire, tls: T, config: &Config) -> Result<Self, Error>
    where
        T: TlsConnect<Wire>,
        T::Stream: Send + 'static,
    {
        let interest = wire.interest();
        let waker = interest.waker();
        let mut context = Context::from_waker(&waker);
        let mut connecting = pin!(config.connect_raw(wire, tls));
        let until = Instant::now() + ANSWER_TIMEOUT;
        let (client, line) = loop {
            interest.take_woken();
            if let Poll::Ready(done) = connecting.as_mut().poll(&mut context) {
                break done?;
            }
            if !interest.take_woken() && !interest.wait(until).unwrap_or(false) {
                return Err(Error::__private_api_timeout());
            }
        };
        Ok(Self {
            client: Arc::new(client),
            line: Some(Box::new(line)),
            interest,
            waker,
            statements: HashMap::new(),
            sent: VecDeque::new(),
            failed: None,
            lost: None,
            news: Vec::new(),
        })
    }

    /// Sets what every session of ours must have, and looks whether the server may stand behind a promise.
    fn prepare_session(&mut self, name: &str) -> Result<(), StoreError> {
        let refused = |why: String| Err(StoreError::Invalid(format!("PostgreSQL {name}: {why}")));
        // Law 2 rests on the commit being on disk (and on the standbys that are asked for) before anybody is answered;
        // remote_apply is stronger and stays. A session that falls silent inside a transaction holds the writers' lock:
        // it is ended after 8 s, one whose host is gone after 10 s, and whoever waits for the lock outwaits both.
        let settings = self.one_row(
            "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
             WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false), \
             set_config('lock_timeout', '15s', false), set_config('statement_timeout', '0', false), \
             set_config('idle_in_transaction_session_timeout', '8s', false), \
             set_config('tcp_keepalives_idle', '4', false), set_config('tcp_keepalives_interval', '2', false), \
             set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '10s', false), \
             set_config('client_connection_check_interval', '5s', false)",
        );
        settings?;
        let row = self.one_row(
            "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'), \
             current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes'), \
             pg_is_in_recovery(), current_setting('transaction_read_only')",
        )?;
        let row: &dyn crate::sql::Row = &row;
        if row.int(0)? < SERVER_VERSION_MIN {
            let version = row.text(1)?;
            return refused(format!(
                "version {version} is too old: 15 or later is needed"
            ));
        }
        if row.text(2)? != "UTF8" {
            let encoding = row.text(2)?;
            return refused(format!(
                "the database's encoding is {encoding}; it must be UTF8"
            ));
        }
        for (column, setting) in [(3, "fsync"), (4, "full_page_writes")] {
            if row.text(column)? != "on" {
                return refused(format!(
                    "{setting} is off, so a power cut would lose what was promised; turn it on"
                ));
            }
        }
        if row.int(5)? != 0 || row.text(6)? != "off" {
            return Err(lost(&format!(
                "{name}: this server is a standby or read-only"
            )));
        }
        Ok(())
    }

    /// A statement with exactly one row, outside the seam's cache.
    fn one_row(&mut self, query: &str) -> Result<Found, StoreError> {
        let client = Arc::clone(&self.client);
        self.drive(async move { client.query_one(query, &[]).await })
            .map(Found)
    }

    /// Whether it can still be used; takes what has come meanwhile, and does not wait.
    pub(super) fn is_there(&mut self) -> bool {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        self.turn(&mut context);
        self.take_answers(&mut context);
        self.lost.is_none()
    }

    /// Sends a statement and does not wait for its answer. It fails the next call that waits.
    pub(super) fn put(&mut self, statement: &str, params: &[Param<'_>]) -> Result<(), StoreError> {
        let values = values(params)?;
        let statement = self.statement(statement, &values)?;
        while self.sent.len() >= SENT_MAX {
            self.await_answers(SENT_MAX / 2)?;
        }
        let client = Arc::clone(&self.client);
        self.sent.push_back(Box::pin(async move {
            client.execute_raw(&statement, &values).await
        }));
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        // Its first poll hands it to the connection, whose turn writes it.
        if let Some(newest) = self.sent.back_mut()
            && let Poll::Ready(done) = newest.as_mut().poll(&mut context)
        {
            self.sent.pop_back();
            self.take_answer(done);
        }
        self.turn(&mut context);
        Ok(())
    }

    /// Waits for the answers of everything sent.
    ///
    /// # Errors
    /// Of the first that failed.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        self.await_answers(0)?;
        self.failed.take().map_or(Ok(()), Err)
    }

    /// As [`settle`](Self::settle), for a transaction that is taken back anyway.
    pub(super) fn forget(&mut self) -> Result<(), StoreError> {
        self.await_answers(0)?;
        self.failed = None;
        Ok(())
    }

    /// Waits for a notification, until an instant at most.
    pub(super) fn next_news(&mut self, until: Instant) -> Result<Vec<Notification>, StoreError> {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        loop {
            self.turn(&mut context);
            if let Some(why) = &self.lost {
                return Err(lost(why));
            }
            if !self.news.is_empty() || Instant::now() >= until {
                return Ok(std::mem::take(&mut self.news));
            }
            if !self.interest.take_woken() {
                self.interest
                    .wait(until)
                    .map_err(|e| lost(&e.to_string()))?;
            }
        }
    }

    /// What ends the connection from another thread.
    pub(super) fn interest(&self) -> Arc<Interest> {
        Arc::clone(&self.interest)
    }

    fn statement(&mut self, text: &str, values: &[Value]) -> Result<Statement, StoreError> {
        if let Some(known) = self.statements.get(text) {
            return Ok(known.clone());
        }
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        let types: Vec<_> = values.iter().map(Value::type_).collect();
        let client = Arc::clone(&self.client);
        let spelled = spelled(text, super::DIALECT);
        let prepared = self.drive(async { client.prepare_typed(&spelled, &types).await })?;
        self.statements.insert(text.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Polls `work` and the connection until `work` is done. What was sent before it is answered before it.
    fn drive<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let mut work = pin!(work);
        let mut done = None;
        self.until(&mut |link, context| {
            link.take_answers(context);
            match work.as_mut().poll(context) {
                Poll::Ready(result) => done = Some(result),
                Poll::Pending => {}
            }
            done.is_some()
        })?;
        let result = match done {
            Some(result) => result.map_err(|error| self.blamed(&error)),
            None => Err(lost("the connection ended")),
        };
        // An earlier statement's failure made this one fail: it is the one to name.
        match self.failed.take() {
            Some(first) => Err(first),
            None => result,
        }
    }

    fn await_answers(&mut self, left: usize) -> Result<(), StoreError> {
        self.until(&mut |link, context| {
            link.take_answers(context);
            link.sent.len() <= left
        })
    }

    /// Takes turns until `done` says so, the connection is lost, or the server has been silent for too long.
    fn until(
        &mut self,
        done: &mut dyn FnMut(&mut Self, &mut Context<'_>) -> bool,
    ) -> Result<(), StoreError> {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        let mut received = self.interest.received();
        let mut patience = Instant::now() + ANSWER_TIMEOUT;
        loop {
            if done(self, &mut context) {
                return Ok(());
            }
            if let Some(why) = &self.lost {
                return Err(lost(why));
            }
            // What was woken until here is looked at in this turn; what the turn wakes, in the next round.
            self.interest.take_woken();
            self.turn(&mut context);
            if self.interest.take_woken() || self.lost.is_some() {
                continue;
            }
            if self.interest.received() != received {
                received = self.interest.received();
                patience = Instant::now() + ANSWER_TIMEOUT;
            }
            match self.interest.wait(patience) {
                Ok(true) => {}
                Ok(false) => self.end("the server does not answer"),
                Err(error) => self.end(&error.to_string()),
            }
        }
    }

    /// Lets the connection read and write what it can.
    fn turn(&mut self, context: &mut Context<'_>) {
        while let Some(line) = &mut self.line {
            match line.poll_message(context) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(AsyncMessage::Notification(news)))) => self.news.push(news),
                Poll::Ready(Some(Ok(_))) => {} // A notice is for a person at a terminal.
                Poll::Ready(Some(Err(error))) => self.end(&told(&error)),
                Poll::Ready(None) => self.end("the server closed the connection"),
            }
        }
    }

    /// Drops the connection: whatever waits for an answer ends with an error.
    fn end(&mut self, why: &str) {
        self.line = None;
        self.lost.get_or_insert_with(|| why.to_owned());
    }

    fn take_answers(&mut self, context: &mut Context<'_>) {
        while let Some(first) = self.sent.front_mut() {
            let Poll::Ready(done) = first.as_mut().poll(context) else {
                return;
            };
            self.sent.pop_front();
            self.take_answer(done);
        }
    }

    fn take_answer(&mut self, done: Result<u64, Error>) {
        if let Err(error) = done {
            let error = self.blamed(&error);
            self.failed.get_or_insert(error);
        }
    }

    /// A statement's error; when the connection was lost, why it was.
    fn blamed(&self, error: &Error) -> StoreError {
        match &self.lost {
            Some(why) if error.is_closed() => lost(why),
            _ => sorted(error),
        }
    }
}

impl Sql for Link {
    fn run(&mut self, statement: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let values = values(params)?;
        let statement = self.statement(statement, &values)?;
        let client = Arc::clone(&self.client);
        self.drive(async move { client.execute_raw(&statement, &values).await })
    }

    fn rows(
        &mut self,
        query: &str,
        params: &[Param<'_>],
        each: &mut EachRow<'_>,
    ) -> Result<(), StoreError> {
        let values = values(params)?;
        let statement = self.statement(query, &values)?;
        let client = Arc::clone(&self.client);
        let mut taken = Ok(Flow::More);
        self.drive(async {
            let mut rows = pin!(client.query_raw(&statement, &values).await?);
            // Rows that nobody wants any more are read all the same: the next answer stands behind them.
            while let Some(row) = rows.try_next().await? {
                if matches!(taken, Ok(Flow::More)) {
                    taken = each(&Found(row));
                }
            }
            Ok(())
        })?;
        taken.map(drop)
    }

    fn put(&mut self, statement: &str, params: &[Param<'_>]) -> Result<(), StoreError> {
        Self::put(self, statement, params)
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        Self::settle(self)
    }
}

fn values(params: &[Param<'_>]) -> Result<Vec<Value>, StoreError> {
    params.iter().map(Value::of).collect()
}

/// The same without TLS, for a Unix socket or a loopback address.
fn plain(config: &Config) -> Config {
    let mut plain = config.clone();
    plain.ssl_mode(tokio_postgres::config::SslMode::Disable);
    plain
}
