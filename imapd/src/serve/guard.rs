//! Looks at a live session's certificate again: when something changed (an account closed, a device revoked, other
//! anchors or CRLs), and now and then, because certificates expire without anything changing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Imapd;
use crate::identify::identify;
use crate::session::reply::chain;
use crate::session::state::{Bearer, Seat};

/// However much changes elsewhere, one certificate is judged this often at most …
const JUDGED_MIN: Duration = Duration::from_secs(4);
/// … and this often at least.
const JUDGED_MAX: Duration = Duration::from_secs(60);

/// The guard of one connection.
pub struct Guard {
    imapd: Arc<Imapd>,
    peer: IpAddr,
    certificates: Vec<CertificateDer<'static>>,
    changes: watch::Receiver<u64>,
    judged: Instant,
    due: Instant,
}

impl Guard {
    /// A guard over a connection that has shown these certificates, or none yet.
    pub fn new(
        imapd: Arc<Imapd>,
        peer: IpAddr,
        certificates: Vec<CertificateDer<'static>>,
    ) -> Self {
        let now = Instant::now();
        let changes = imapd.changes();
        Self {
            imapd,
            peer,
            certificates,
            changes,
            judged: now,
            due: now + JUDGED_MAX,
        }
    }

    /// Whether it is time to look again.
    pub fn is_due(&mut self) -> bool {
        // An error would mean that the server is gone, and its connections with it.
        if self.changes.has_changed().unwrap_or(false) {
            self.changes.mark_unchanged();
            self.hasten();
        }
        !self.certificates.is_empty() && Instant::now() >= self.due
    }

    /// Waits until it is. May be dropped at any moment.
    pub async fn until_due(&mut self) {
        while !self.is_due() {
            tokio::select! {
                () = sleep_until(self.due), if !self.certificates.is_empty() => {}
                changed = self.changes.changed() => match changed {
                    Ok(()) => self.hasten(),
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }

    /// Whom the certificates name now. `None`: the store did not say.
    pub async fn judge(&mut self) -> Option<Bearer> {
        let (imapd, certificates, peer) = (
            Arc::clone(&self.imapd),
            self.certificates.clone(),
            self.peer,
        );
        let judged = move || {
            identify(
                &imapd.store,
                &certificates,
                &imapd.trust(),
                &imapd.house().domain,
                peer,
            )
        };
        let bearer = match tokio::task::spawn_blocking(judged).await {
            Ok(Ok(bearer)) => Some(bearer),
            Ok(Err(error)) => {
                tracing::error!(error = %chain(&error), "a certificate could not be looked up");
                None
            }
            Err(_) => None,
        };
        self.judged = Instant::now();
        self.due = self.judged + JUDGED_MAX;
        bearer
    }

    /// Waits until a session no longer has what it stands on: why, for the client.
    pub async fn until_refused(&mut self, seat: Option<Seat>) -> String {
        loop {
            self.until_due().await;
            if let (Some(why), _) = self.verdict(seat).await {
                return why;
            }
        }
    }

    /// Judges: why a session on this seat must end, if it must, and whom the certificates name.
    pub async fn verdict(&mut self, seat: Option<Seat>) -> (Option<String>, Option<Bearer>) {
        let bearer = self.judge().await;
        let why = match (&bearer, seat) {
            (_, None) => None,
            (Some(Bearer::Holder(now)), Some(seat)) if now.account == seat.named => {
                self.delegation(seat).await
            }
            (Some(Bearer::Refused(why)), Some(_)) => Some(why.clone()),
            (Some(_), Some(_)) => Some("Your certificate names another mailbox".to_owned()),
            (None, Some(_)) => Some("Your certificate cannot be checked at the moment".to_owned()),
        };
        (why, bearer)
    }

    /// Why a delegate's session must end although the certificate is good, if it must.
    async fn delegation(&self, seat: Seat) -> Option<String> {
        let (id, scope) = seat.delegation?;
        let store = self.imapd.store.clone();
        let stands = tokio::task::spawn_blocking(move || store.delegation_stands(id, scope));
        match stands.await {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => Some("Your delegation has ended or changed".to_owned()),
            _ => Some("Your delegation cannot be checked at the moment".to_owned()),
        }
    }

    fn hasten(&mut self) {
        self.due = self.due.min(self.judged + JUDGED_MIN);
    }
}
