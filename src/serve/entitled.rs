//! The public list of bodies entitled to send, as the post's own pages show it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use store::{Store, StoreError};
use webd::entitled::{Entitled, List};

use crate::billing::entitled;
use crate::billing::library::Library;
use crate::billing::page;
use crate::config::Config;

/// For how long one list answers all who ask: anybody may ask, and making it reads every contract.
const LIST_KEPT: Duration = Duration::from_secs(5);

/// Makes the list.
pub struct EntitledList {
    store: Store,
    data: Option<PathBuf>,
    made: Mutex<Option<(Instant, Arc<List>)>>,
}

impl EntitledList {
    /// Of this store.
    pub fn new(config: &Config, store: &Store) -> Self {
        Self {
            store: store.clone(),
            data: config.billing.clone(),
            made: Mutex::new(None),
        }
    }

    fn make(&self) -> Result<List, StoreError> {
        let library = Library::load(self.data.as_deref())
            .map_err(|failure| StoreError::Invalid(failure.to_string()))?;
        let bodies = entitled::bodies(&self.store)?;
        let all = bodies.iter().map(|body| entitled::to_json(body, &library));
        Ok(List {
            html: page::render(&entitled::sections(&bodies, &library)),
            json: format!("{}\n", Value::Array(all.collect())),
        })
    }
}

impl Entitled for EntitledList {
    fn list(&self) -> Result<Arc<List>, StoreError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, list)) = &*made
            && when.elapsed() < LIST_KEPT
        {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(self.make()?);
        *made = Some((Instant::now(), Arc::clone(&list)));
        Ok(list)
    }
}
