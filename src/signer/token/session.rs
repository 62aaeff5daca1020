//! The token found, logged in to, its key looked up and used. Everything here blocks and is done by one thread.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::refused::Refused;
use crate::config::key_place::TokenKey;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// ECDSA on P-256, of a digest of 32 octets (`CKM_ECDSA`).
    P256,
    /// Ed25519, of octets of any length (`CKM_EDDSA`).
    Ed25519,
}

/// A key that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was made.
    New,
    /// One of this name was there.
    There,
}

/// OBJECT IDENTIFIER prime256v1 (RFC 5480 §2.1.1.1).
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Ed25519 as PKCS #11 3.0 §2.3.5 names it, as text and as an OBJECT IDENTIFIER (RFC 8410 §3): libraries differ.
const ED25519: [&[u8]; 2] = [b"\x13\x0cedwards25519", &[0x06, 0x03, 0x2b, 0x65, 0x70]];

impl Scheme {
    fn mechanism(self) -> Mechanism<'static> {
        match self {
            Self::P256 => Mechanism::Ecdsa,
            Self::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
        }
    }

    /// Octets of the public half.
    const fn public_octets(self) -> usize {
        match self {
            Self::P256 => 65,
            Self::Ed25519 => 32,
        }
    }
}

/// A key on a token, and what is open of it.
pub struct At {
    key: TokenKey,
    refused: Refused,
    open: Option<Open>,
}

struct Open {
    session: Session,
    private: Option<ObjectHandle>,
}

impl At {
    /// Nothing is open yet.
    pub fn new(key: TokenKey, refused: Refused) -> Self {
        Self {
            key,
            refused,
            open: None,
        }
    }

    /// Signs.
    ///
    /// # Errors
    /// What kept the token from it.
    pub fn sign(&mut self, scheme: Scheme, octets: &[u8]) -> Result<Vec<u8>, String> {
        self.use_key(|session, key| session.sign(&scheme.mechanism(), key, octets))
    }

    /// The public half.
    ///
    /// # Errors
    /// That it is not there or of another kind; what kept the token from showing it.
    pub fn public(&mut self, scheme: Scheme) -> Result<Vec<u8>, String> {
        let found = self.with_session(|at, session| {
            let found = session.find_objects(&at.template(ObjectClass::PUBLIC_KEY))?;
            let Some(object) = found.first() else {
                return Ok(None);
            };
            session
                .get_attributes(*object, &[AttributeType::EcPoint])
                .map(Some)
        })?;
        let attributes = found.ok_or("the token has the key's public half under no such name")?;
        let point = attributes.into_iter().find_map(|one| match one {
            Attribute::EcPoint(point) => Some(point),
            _ => None,
        });
        let wrong = match scheme {
            Scheme::P256 => "it is no key on P-256",
            Scheme::Ed25519 => "it is no Ed25519 key",
        };
        let point = point.ok_or(wrong)?;
        // An OCTET STRING around it (PKCS #11 §2.3.3); some libraries leave it out.
        let length = scheme.public_octets();
        let bare = match point.split_first_chunk::<2>() {
            Some(([4, said], rest)) if usize::from(*said) == length && rest.len() == length => rest,
            _ => point.as_slice(),
        };
        if bare.len() == length {
            Ok(bare.to_vec())
        } else {
            Err(wrong.to_owned())
        }
    }

    /// Makes the key where there is none of its name.
    ///
    /// # Errors
    /// What kept the token from it.
    pub fn make(&mut self, scheme: Scheme) -> Result<Made, String> {
        let there = self.with_session(|at, session| {
            session.find_objects(&at.template(ObjectClass::PRIVATE_KEY))
        })?;
        if !there.is_empty() {
            return Ok(Made::There);
        }
        let (mechanism, curves): (_, &[&[u8]]) = match scheme {
            Scheme::P256 => (Mechanism::EccKeyPairGen, &[P256]),
            Scheme::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, &ED25519),
        };
        let mut last = String::new();
        for curve in curves {
            let made = self.with_session(|at, session| {
                let mut public = at.names();
                public.extend([
                    Attribute::Token(true),
                    Attribute::Private(false),
                    Attribute::Verify(true),
                    Attribute::EcParams(curve.to_vec()),
                ]);
                let mut private = at.names();
                private.extend([
                    Attribute::Token(true),
                    Attribute::Private(true),
                    Attribute::Sensitive(true),
                    Attribute::Extractable(false),
                    Attribute::Sign(true),
                ]);
                session.generate_key_pair(&mechanism, &public, &private)
            });
            match made {
                Ok(_) => {
                    self.open = None;
                    return Ok(Made::New);
                }
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    /// Destroys both halves.
    ///
    /// # Errors
    /// What kept the token from it.
    pub fn destroy(&mut self) -> Result<(), String> {
        let gone = self.with_session(|at, session| {
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                for object in session.find_objects(&at.template(class))? {
                    session.destroy_object(object)?;
                }
            }
            Ok(())
        });
        self.open = None;
        gone
    }

    /// With the private key; a session that was lost is opened again, once.
    fn use_key<T>(
        &mut self,
        what: impl Fn(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<T, String> {
        let mut again = true;
        loop {
            let done = self.private().and_then(|key| {
                let open = self.open.as_ref().ok_or_else(gone)?;
                what(&open.session, key).map_err(|error| Fault::Library(Box::new(error)))
            });
            match done {
                Ok(done) => return Ok(done),
                Err(fault) => self.judge(fault, &mut again)?,
            }
        }
    }

    fn with_session<T>(
        &mut self,
        what: impl Fn(&Self, &Session) -> Result<T, Error>,
    ) -> Result<T, String> {
        let mut again = true;
        loop {
            let done = self.opened().and_then(|()| {
                let open = self.open.as_ref().ok_or_else(gone)?;
                what(self, &open.session).map_err(|error| Fault::Library(Box::new(error)))
            });
            match done {
                Ok(done) => return Ok(done),
                Err(fault) => self.judge(fault, &mut again)?,
            }
        }
    }

    /// Whether it is worth another try: `Ok` when the session was lost and it was the first.
    fn judge(&mut self, fault: Fault, again: &mut bool) -> Result<(), String> {
        let was_open = self.open.take().is_some();
        match fault {
            Fault::Library(error) if was_open && is_lost(&error) && *again => {
                *again = false;
                Ok(())
            }
            Fault::Library(error) => Err(said(&error)),
            Fault::Ours(why) => Err(why),
        }
    }

    fn opened(&mut self) -> Result<(), Fault> {
        if self.open.is_none() {
            let session = open(&self.key, &self.refused)?;
            self.open = Some(Open {
                session,
                private: None,
            });
        }
        Ok(())
    }

    fn private(&mut self) -> Result<ObjectHandle, Fault> {
        self.opened()?;
        let template = self.template(ObjectClass::PRIVATE_KEY);
        let open = self.open.as_mut().ok_or_else(gone)?;
        if let Some(private) = open.private {
            return Ok(private);
        }
        let found = open.session.find_objects(&template);
        let found = found.map_err(|error| Fault::Library(Box::new(error)))?;
        match found.as_slice() {
            [one] => {
                open.private = Some(*one);
                Ok(*one)
            }
            [] => Err(Fault::Ours(
                "the token is there, and no private key of this name on it".into(),
            )),
            _ => Err(Fault::Ours(
                "the token has several private keys of this name: name one by id too".into(),
            )),
        }
    }

    fn template(&self, class: ObjectClass) -> Vec<Attribute> {
        let mut template = vec![Attribute::Class(class)];
        let uri = &self.key.uri;
        template.extend(
            uri.object
                .iter()
                .map(|name| Attribute::Label(name.clone().into())),
        );
        template.extend(uri.id.iter().map(|id| Attribute::Id(id.clone())));
        template
    }

    /// The names of a new key: one that is not given is as the other.
    fn names(&self) -> Vec<Attribute> {
        let uri = &self.key.uri;
        let id = uri
            .id
            .clone()
            .or_else(|| uri.object.clone().map(String::into_bytes));
        let mut names = Vec::new();
        names.extend(
            uri.object
                .iter()
                .map(|name| Attribute::Label(name.clone().into())),
        );
        names.extend(id.map(Attribute::Id));
        names
    }
}

enum Fault {
    Library(Box<Error>),
    Ours(String),
}

fn gone() -> Fault {
    Fault::Ours("the session is gone".into())
}

/// Finds the token and logs in.
fn open(key: &TokenKey, refused: &Refused) -> Result<Session, Fault> {
    let ours = |why: String| Fault::Ours(why);
    let module = key.module.display();
    if !Path::new(&key.module).exists() {
        return Err(ours(format!(
            "module-path {module}: there is no such library"
        )));
    }
    let library = Pkcs11::new(&key.module).map_err(|e| {
        ours(format!(
            "module-path {module}: is no PKCS #11 library: {}",
            said(&e)
        ))
    })?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Another thread of ours has it open: a library is initialised once per process.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(ours(format!("module-path {module}: {}", said(&error)))),
    }
    let (slot, token) = find(&library, key)?;
    let session = library
        .open_rw_session(slot)
        .map_err(|error| ours(said(&error)))?;
    if token.login_required() {
        log_in(&session, &token, key, refused)?;
    }
    Ok(session)
}

fn find(library: &Pkcs11, key: &TokenKey) -> Result<(Slot, TokenInfo), Fault> {
    let ours = |error: Error| Fault::Ours(said(&error));
    let mut found = Vec::new();
    for slot in library.get_slots_with_token().map_err(ours)? {
        // One that was pulled out between the two calls is not there.
        let Ok(token) = library.get_token_info(slot) else {
            continue;
        };
        let uri = &key.uri;
        let is = |wanted: &Option<String>, has: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted == has.trim_end())
        };
        let meant = is(&uri.token, token.label())
            && is(&uri.serial, token.serial_number())
            && is(&uri.manufacturer, token.manufacturer_id())
            && is(&uri.model, token.model())
            && uri.slot.is_none_or(|wanted| wanted == slot.id());
        if meant && token.token_initialized() {
            found.push((slot, token));
        }
    }
    match found.len() {
        1 => found.pop().ok_or_else(gone),
        0 => Err(Fault::Ours("no such token is there".into())),
        count => Err(Fault::Ours(format!(
            "{count} tokens are meant: name one by serial"
        ))),
    }
}

fn log_in(
    session: &Session,
    token: &TokenInfo,
    key: &TokenKey,
    refused: &Refused,
) -> Result<(), Fault> {
    let ours = |why: String| Fault::Ours(why);
    let pin = key.pin().map_err(|failure| ours(failure.to_string()))?;
    let (pin, file) = match pin {
        Some(found) => found,
        // A pad of its own asks the person who stands before it.
        None if token.protected_authentication_path() => {
            let done = session.login(UserType::User, None);
            return done.or_else(logged_in_before).map_err(|e| ours(said(&e)));
        }
        None => {
            return Err(ours(
                "the token wants a PIN: name its file by pin-source".into(),
            ));
        }
    };
    if token.user_pin_locked() {
        return Err(ours("the token is locked: too many wrong PINs".into()));
    }
    if token.user_pin_final_try() {
        return Err(ours(
            "the token takes one more wrong PIN and is then locked: that try is left to a person (log in once with \
             another program)"
                .into(),
        ));
    }
    refused
        .check(key, &file)
        .map_err(|failure| ours(failure.to_string()))?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
        Ok(()) => Ok(()),
        Err(Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid,
            _,
        )) => {
            let remembered = refused.remember(key, &file);
            let and = remembered
                .err()
                .map_or(String::new(), |e| format!(" ({e})"));
            Err(ours(format!(
                "the token refused the PIN of {}; it is not tried again until that file changes{and}",
                file.display()
            )))
        }
        Err(error) => logged_in_before(error).map_err(|e| ours(said(&e))),
    }
}

/// Another thread of ours has logged in: a log-in is the process's.
fn logged_in_before(error: Error) -> Result<(), Error> {
    match error {
        Error::Pkcs11(RvError::UserAlreadyLoggedIn, _) => Ok(()),
        other => Err(other),
    }
}

/// The session, or the token, is gone; opened again it may be there.
fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::DeviceRemoved
                | RvError::DeviceError
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::UserNotLoggedIn
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::CryptokiNotInitialized
                | RvError::GeneralError
                | RvError::FunctionFailed,
            _
        )
    )
}

/// In a few words: the library's own text is a paragraph of the standard.
fn said(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{function:?}: {code:?}"),
        other => crate::failure::chain(other),
    }
}
