//! One bucket: requests that are tried again for a bounded time, and answers that are checked.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
    RetryConfig, UpdateVersion,
};

use super::endpoint::{Endpoint, is_prefix};
use super::fault::{Fault, Patience, READ_PATIENCE, WRITE_PATIENCE, attempt};
use super::group::GROUP_BYTES_MAX;
use super::http::Connector;
use super::number::{Number, random};
use crate::StoreError;
use crate::options::S3At;
use crate::trusted;

/// A group's object is read whole up to this size, to keep it or to erase in it; no group that a node writes comes
/// near it.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

/// Names on one page of a listing; more is not given (S3 ListObjectsV2).
const PAGE_NAMES: usize = 1000;

/// What the mark holds; its name is number 0.
const MARK: &[u8] = b"Knik content\n";

/// One bucket. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bucket {
    store: AmazonS3,
    prefix: Arc<str>,
    /// How the operator knows it: for error texts, which never hold keys.
    called: Arc<str>,
}

/// A whole object, as it was read.
pub(super) struct Whole {
    pub(super) octets: Bytes,
    e_tag: Option<String>,
    version: Option<String>,
}

impl Whole {
    /// Whether the bucket keeps what an overwriting takes away.
    pub(super) fn is_versioned(&self) -> bool {
        self.version
            .as_deref()
            .is_some_and(|version| version != "null")
    }
}

/// A large letter on its way.
#[derive(Debug, Clone)]
pub(super) struct Upload(Arc<str>);

/// One page of a listing.
pub(super) struct Page {
    /// Ours among the objects on it, and since when each is as it is.
    pub(super) objects: Vec<(Number, Duration)>,
    /// How many names were on it.
    pub(super) names: usize,
    /// The name after which the next page begins.
    pub(super) next: Option<String>,
}

impl Bucket {
    /// A client for what `at` says; no request is made yet.
    pub(super) fn new(at: &S3At) -> Result<Self, StoreError> {
        let endpoint: Endpoint = at.endpoint.parse().map_err(StoreError::Invalid)?;
        if !is_prefix(&at.prefix) {
            return Err(StoreError::Invalid(format!(
                "\"{}\" is no prefix such as knik/",
                at.prefix
            )));
        }
        let tls = match (&at.anchors, endpoint.tls) {
            (Some(anchors), true) => Some(trusted::client_config(anchors)?),
            (None, true) => {
                return Err(StoreError::Invalid(format!(
                    "{} needs the anchors that its certificate leads to",
                    at.endpoint
                )));
            }
            (_, false) => None,
        };
        let called = format!("bucket {} at {}", at.bucket, at.endpoint);
        let store = AmazonS3Builder::new()
            .with_endpoint(&at.endpoint)
            .with_allow_http(!endpoint.tls)
            .with_http_connector(Connector { endpoint, tls })
            .with_bucket_name(&at.bucket)
            .with_region(&at.region)
            .with_access_key_id(&at.access_key)
            .with_secret_access_key(&at.secret_key)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_disable_bulk_delete(true)
            // Attempts are counted here, where it is known what an unanswered write may have done.
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            })
            .build()
            .map_err(|_| StoreError::Invalid(format!("{called}: cannot be addressed so")))?;
        Ok(Self {
            store,
            prefix: at.prefix.as_str().into(),
            called: called.into(),
        })
    }

    /// The bucket answers, lets us write, and refuses a second object of one name: asked with the mark, which stays.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let mut patience = Patience::new(READ_PATIENCE);
        let mut made = false;
        loop {
            let answer = self.create(Number::MARK, Bytes::from_static(MARK)).await;
            match answer {
                Err(Fault::Taken) => return Ok(()),
                Ok(()) if made => {
                    return Err(StoreError::Invalid(format!(
                        "{}: it does not keep to If-None-Match, so two nodes could write over each other",
                        self.called
                    )));
                }
                Ok(()) => made = true,
                Err(fault) if patience.again(&fault).await => {}
                Err(fault) => {
                    return Err(self.unavailable("it was asked whether it answers", &fault));
                }
            }
        }
    }

    /// Writes an object that nobody has yet. A write whose answer was lost is looked for before it is tried again.
    pub(super) async fn put_new(&self, number: Number, octets: Bytes) -> Result<(), StoreError> {
        let mut patience = Patience::new(WRITE_PATIENCE);
        loop {
            let fault = match self.create(number, octets.clone()).await {
                Ok(()) => return Ok(()),
                Err(Fault::Taken) => match self.holds(number, &octets).await {
                    Ok(true) => return Ok(()),
                    Ok(false) => Fault::Taken,
                    // A conflict with an attempt that is still under way (409).
                    Err(Fault::Missing) => Fault::Passing("the server saw a conflict".into()),
                    Err(fault) => fault,
                },
                Err(fault) => fault,
            };
            if !patience.again(&fault).await {
                return Err(self.unavailable(&format!("writing object {number}"), &fault));
            }
        }
    }

    /// Takes a number for a large letter: what is written there is seen nowhere before the letter is whole.
    pub(super) async fn reserve(&self, number: Number) -> Result<(), StoreError> {
        let mine = [random(), random()].map(u64::to_be_bytes).concat();
        self.put_new(number, mine.into()).await
    }

    /// Begins the letter whose number is taken.
    pub(super) async fn begin(&self, number: Number) -> Result<Upload, StoreError> {
        let path = self.path(number);
        self.tried(WRITE_PATIENCE, "beginning", number, 0, || {
            self.store.create_multipart(&path)
        })
        .await
        .map(|id| Upload(id.into()))
    }

    /// Sends a part of it; `index` counts from 0.
    pub(super) async fn part(
        &self,
        number: Number,
        upload: &Upload,
        index: usize,
        octets: Bytes,
    ) -> Result<PartId, StoreError> {
        let (path, id) = (self.path(number), upload.0.to_string());
        self.tried(
            WRITE_PATIENCE,
            "writing",
            number,
            octets.len() as u64,
            || {
                self.store
                    .put_part(&path, &id, index, octets.clone().into())
            },
        )
        .await
    }

    /// Makes the letter of its parts. If the answer is lost, its length tells whether it came to be; its octets are
    /// read and checked before anything refers to them ([`crate::Sealed::octets`]).
    pub(super) async fn complete(
        &self,
        number: Number,
        upload: &Upload,
        parts: &[PartId],
        len: u64,
    ) -> Result<(), StoreError> {
        let (path, id) = (self.path(number), upload.0.to_string());
        let mut patience = Patience::new(WRITE_PATIENCE);
        loop {
            let request = self.store.complete_multipart(&path, &id, parts.to_vec());
            let Err(fault) = attempt(len, request).await else {
                return Ok(());
            };
            match attempt(0, self.store.head(&path)).await {
                Ok(found) if found.size == len => return Ok(()),
                _ if patience.again(&fault).await => {}
                _ => return Err(self.unavailable(&format!("completing object {number}"), &fault)),
            }
        }
    }

    /// Gives up what was begun.
    pub(super) async fn abort(&self, number: Number, upload: &Upload) -> Result<(), StoreError> {
        let (path, id) = (self.path(number), upload.0.to_string());
        self.tried(WRITE_PATIENCE, "giving up", number, 0, || {
            self.store.abort_multipart(&path, &id)
        })
        .await
    }

    /// Exactly these octets of an object.
    pub(super) async fn range(
        &self,
        number: Number,
        range: Range<u64>,
    ) -> Result<Bytes, StoreError> {
        let mut patience = Patience::new(READ_PATIENCE);
        loop {
            match self.get(number, range.clone()).await {
                Ok(found) if found.octets.len() as u64 == range.end - range.start => {
                    return Ok(found.octets);
                }
                Ok(_) => return Err(damaged(number, &Fault::Short)),
                Err(fault @ (Fault::Missing | Fault::Short)) => {
                    return Err(damaged(number, &fault));
                }
                Err(fault) if patience.again(&fault).await => {}
                Err(fault) => {
                    return Err(self.unavailable(&format!("reading object {number}"), &fault));
                }
            }
        }
    }

    /// A whole object of a group.
    pub(super) async fn whole(&self, number: Number) -> Result<Whole, StoreError> {
        let mut patience = Patience::new(READ_PATIENCE);
        loop {
            match self.get(number, 0..WHOLE_BYTES_MAX).await {
                Ok(found) => return Ok(found),
                Err(fault @ (Fault::Missing | Fault::Short)) => {
                    return Err(damaged(number, &fault));
                }
                Err(fault) if patience.again(&fault).await => {}
                Err(fault) => {
                    return Err(self.unavailable(&format!("reading object {number}"), &fault));
                }
            }
        }
    }

    /// Writes `octets` in the place of what was read; gives what went wrong if the object has become another in
    /// between, or if it is unknown what became of it.
    pub(super) async fn replace(
        &self,
        number: Number,
        read: &Whole,
        octets: Bytes,
    ) -> Result<Option<Fault>, StoreError> {
        let Some(e_tag) = read.e_tag.clone() else {
            let why = Fault::Lasting("the server gives no ETag".into());
            return Err(self.unavailable(&format!("rewriting object {number}"), &why));
        };
        let update = PutMode::Update(UpdateVersion {
            e_tag: Some(e_tag),
            version: None,
        });
        let (path, len) = (self.path(number), octets.len() as u64);
        let put = self
            .store
            .put_opts(&path, PutPayload::from(octets), update.into());
        match attempt(len, put).await {
            Ok(_) => Ok(None),
            Err(fault @ (Fault::Taken | Fault::Passing(_))) => Ok(Some(fault)),
            Err(Fault::Missing) => Err(damaged(number, &Fault::Missing)),
            Err(fault) => Err(self.unavailable(&format!("rewriting object {number}"), &fault)),
        }
    }

    /// Leaves an object without an octet in the place of a large letter.
    pub(super) async fn empty(&self, number: Number) -> Result<(), StoreError> {
        let path = self.path(number);
        self.tried(WRITE_PATIENCE, "emptying", number, 0, || {
            self.store.put(&path, PutPayload::new())
        })
        .await
        .map(drop)
    }

    /// How long an object is, and whether the bucket keeps earlier versions of it.
    pub(super) async fn head(&self, number: Number) -> Result<(u64, bool), StoreError> {
        let path = self.path(number);
        let meta = self
            .tried(READ_PATIENCE, "looking at", number, 0, || {
                self.store.head(&path)
            })
            .await?;
        let versioned = meta.version.is_some_and(|version| version != "null");
        Ok((meta.size, versioned))
    }

    /// Removes an object; one that is not there is removed already.
    pub(super) async fn delete(&self, number: Number) -> Result<(), StoreError> {
        let path = self.path(number);
        match self
            .tried(WRITE_PATIENCE, "removing", number, 0, || {
                self.store.delete(&path)
            })
            .await
        {
            Err(StoreError::Damaged(_)) => Ok(()),
            other => other,
        }
    }

    /// The names after `after`, in order, a page of them.
    pub(super) async fn page(&self, after: Option<String>) -> Result<Page, StoreError> {
        let mut patience = Patience::new(READ_PATIENCE);
        let prefix = Some(&*self.prefix).filter(|prefix| !prefix.is_empty());
        loop {
            let options = PaginatedListOptions {
                offset: after.clone(),
                max_keys: Some(PAGE_NAMES),
                ..PaginatedListOptions::default()
            };
            match attempt(0, self.store.list_paginated(prefix, options)).await {
                Ok(found) => {
                    return Ok(self.read_page(&found.result.objects, found.page_token.is_some()));
                }
                Err(fault) if patience.again(&fault).await => {}
                Err(fault) => return Err(self.unavailable("listing", &fault)),
            }
        }
    }

    fn read_page(&self, found: &[ObjectMeta], more: bool) -> Page {
        let now = std::time::SystemTime::now();
        let objects: Vec<(Number, Duration)> = found
            .iter()
            .filter_map(|object| {
                let name = object.location.as_ref().strip_prefix(&*self.prefix)?;
                let number = Number::of_name(name)?;
                let changed: std::time::SystemTime = object.last_modified.into();
                let age = now.duration_since(changed).unwrap_or_default();
                Some((number, age.min(number.age(now))))
            })
            .collect();
        let last = found.last().filter(|_| more);
        let next = last.map(|object| object.location.to_string());
        Page {
            objects,
            names: found.len(),
            next,
        }
    }

    async fn create(&self, number: Number, octets: Bytes) -> Result<(), Fault> {
        let (path, len) = (self.path(number), octets.len() as u64);
        let put = self
            .store
            .put_opts(&path, PutPayload::from(octets), PutMode::Create.into());
        attempt(len, put).await.map(drop)
    }

    /// Whether the object is exactly these octets.
    async fn holds(&self, number: Number, octets: &Bytes) -> Result<bool, Fault> {
        let found = self.get(number, 0..octets.len() as u64 + 1).await?;
        Ok(found.octets == *octets)
    }

    /// What there is of a range, once.
    async fn get(&self, number: Number, range: Range<u64>) -> Result<Whole, Fault> {
        // A whole group is asked for by a range far beyond its end.
        let len = if range.end == WHOLE_BYTES_MAX {
            GROUP_BYTES_MAX
        } else {
            range.end - range.start
        };
        let path = self.path(number);
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        let request = async {
            let found = self.store.get_opts(&path, options).await?;
            let meta = found.meta.clone();
            Ok((meta, found.bytes().await?))
        };
        let (meta, octets) = attempt(len, request).await.map_err(|fault| match fault {
            // A conflict with a write that is under way: reading has no conditions of its own.
            Fault::Taken => Fault::Passing("the server saw a conflict".into()),
            other => other,
        })?;
        let there = range.end.min(meta.size).saturating_sub(range.start);
        if octets.len() as u64 != there {
            return Err(Fault::Passing("the answer was cut short".into()));
        }
        Ok(Whole {
            octets,
            e_tag: meta.e_tag,
            version: meta.version,
        })
    }

    /// A request that may be made twice, made until it is answered or patience ends.
    async fn tried<T, F>(
        &self,
        patience: Duration,
        doing: &str,
        number: Number,
        len: u64,
        request: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut patience = Patience::new(patience);
        loop {
            match attempt(len, request()).await {
                Ok(answer) => return Ok(answer),
                Err(Fault::Missing) => return Err(damaged(number, &Fault::Missing)),
                Err(fault) if patience.again(&fault).await => {}
                Err(fault) => {
                    return Err(self.unavailable(&format!("{doing} object {number}"), &fault));
                }
            }
        }
    }

    /// The object's name.
    pub(super) fn name(&self, number: Number) -> String {
        format!("{}{number}", self.prefix)
    }

    fn path(&self, number: Number) -> Path {
        Path::from(self.name(number))
    }

    fn unavailable(&self, doing: &str, fault: &Fault) -> StoreError {
        StoreError::Unavailable(format!("{}: {doing}: {fault}", self.called))
    }
}

fn damaged(number: Number, fault: &Fault) -> StoreError {
    StoreError::damaged(format!("content object {number}: {fault}"))
}
