//! One-time links: made by the operator's command, used by a holder over HTTPS.

use std::net::IpAddr;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::Certificate;
use identity::authority::request::Request;
use mail::Timestamp;
use mail::digest::Digest;
use store::authority::{How, NewDevice};
use store::links::{Bundle, Link, LinkState, NewLink};
use store::register::{Account, Enrolment};
use store::{Actor, ActorKind, Auth, EvidenceId, Store, StoreError};
use webd::office::{Fault, Made, NotMade, token_digest};

use crate::config::authority::Authority;
use crate::failure::{Failure, Outcome};

/// For how long a file that was made with a link may be fetched: once on a computer and once more on the telephone.
const FILE_KEPT_MILLIS: i64 = 15 * 60_000;

/// A link that was just made.
pub struct Fresh {
    /// The whole link: shown once, kept nowhere.
    pub url: String,
    /// Until when it works.
    pub expires: Timestamp,
    /// The event that says so.
    pub evidence: EvidenceId,
}

/// Makes a link to one certificate of so many days for an account; it works for `hours`.
///
/// # Errors
/// When the system has no randomness; the store's.
pub fn make(
    config: &Authority,
    store: &Store,
    (by, account): (Actor, &Account),
    (days, hours): (u32, u32),
) -> Outcome<Fresh> {
    let mut secret = [0; 32];
    rand::fill(&mut secret).map_err(|_| Failure::could_not("the system has no randomness"))?;
    let text = URL_SAFE_NO_PAD.encode(secret);
    // Invariant: 32 octets are 43 characters of base64url.
    let token = token_digest(&text).ok_or_else(|| Failure::could_not("the link's token"))?;
    let expires = store.now().as_millis() + i64::from(hours) * 3_600_000;
    let new = NewLink {
        token,
        expires: Timestamp::from_millis(expires),
        days,
    };
    let evidence = store.add_link(by, account.id, new).wait()?;
    Ok(Fresh {
        url: format!("{}/enrol/{text}", config.link_url),
        expires: new.expires,
        evidence,
    })
}

/// Uses a link for a key that is made here.
///
/// # Errors
/// [`NotMade`].
pub fn make_key(
    config: &Authority,
    store: &Store,
    token: &Digest,
    peer: IpAddr,
) -> Result<Made, NotMade> {
    let link = open(store, token)?;
    let now = store.now();
    let authority = super::open(config).map_err(|why| NotMade::Fault(text(why)))?;
    let issued = authority
        .enrol(&link.account.address.to_string(), link.days, now)
        .map_err(|e| NotMade::Fault(e.into()))?;
    let until = Timestamp::from_millis(now.as_millis() + FILE_KEPT_MILLIS);
    let bundle = Bundle {
        octets: issued.pkcs12,
        until,
    };
    let device = device(&issued.issued.certificate, How::LinkKey);
    redeem(store, &link, (token, peer), device, Some(bundle))?;
    Ok(Made {
        password: issued.pkcs12_password,
        until,
    })
}

/// Uses a link for the key of a request; one that cannot be taken is counted against the link.
///
/// # Errors
/// [`NotMade`].
pub fn certify(
    config: &Authority,
    store: &Store,
    (token, peer): (&Digest, IpAddr),
    request: &[u8],
) -> Result<String, NotMade> {
    let link = open(store, token)?;
    let request = match Request::read(request) {
        Ok(request) => request,
        Err(why) => return Err(refuse(store, token, why.to_string())),
    };
    if store
        .enrolled(&request.spki_sha256())
        .map_err(ours)?
        .is_some()
    {
        let why = "this key has a certificate already; make another key";
        return Err(refuse(store, token, why.to_owned()));
    }
    let authority = super::open(config).map_err(|why| NotMade::Fault(text(why)))?;
    let address = link.account.address.to_string();
    let certified = authority
        .certify(&address, &request, link.days, store.now())
        .map_err(|e| NotMade::Fault(e.into()))?;
    let device = device(&certified.certificate, How::LinkRequest);
    redeem(store, &link, (token, peer), device, None)?;
    Ok(certified.chain_pem)
}

/// A certificate as it is enrolled.
pub fn device(certificate: &Certificate, how: How) -> NewDevice {
    NewDevice {
        enrolment: Enrolment {
            spki: certificate.spki_sha256(),
            serial: certificate.serial(),
            fingerprint: certificate.fingerprint(),
            not_after: certificate.not_after(),
            revoked: None,
        },
        how,
        renews: None,
    }
}

fn open(store: &Store, token: &Digest) -> Result<Link, NotMade> {
    let link = store.link(token).map_err(ours)?;
    link.filter(|link| link.state == LinkState::Open)
        .ok_or(NotMade::Link)
}

fn refuse(store: &Store, token: &Digest, why: String) -> NotMade {
    match store.count_attempt(*token).wait() {
        Ok(_) => NotMade::Request(why),
        Err(error) => ours(error),
    }
}

/// The one act that counts: of two who come at once, one gets here first.
fn redeem(
    store: &Store,
    link: &Link,
    (token, peer): (&Digest, IpAddr),
    device: NewDevice,
    bundle: Option<Bundle>,
) -> Result<(), NotMade> {
    let mut holder = Actor::new(ActorKind::Holder);
    holder.account = Some(link.account.address.to_string());
    holder.auth = vec![Auth::Tls, Auth::Link];
    holder.peer = Some(peer);
    match store.redeem(holder, *token, device, bundle).wait() {
        Ok(_) => Ok(()),
        Err(StoreError::Exists(_) | StoreError::NotFound(_) | StoreError::Invalid(_)) => {
            Err(NotMade::Link)
        }
        Err(error) => Err(ours(error)),
    }
}

fn ours(error: StoreError) -> NotMade {
    NotMade::Fault(Box::new(error))
}

fn text(why: Failure) -> Fault {
    why.to_string().into()
}
