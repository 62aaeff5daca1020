//! The thread that talks to the object store, for callers who wait on threads of any kind.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::StoreError;

/// A runtime of one thread. Callers never enter it: they hand it a future and wait on a channel, so they may stand in a
/// runtime of their own.
pub(super) struct Worker(Option<Runtime>);

impl Worker {
    pub(super) fn start() -> Result<Self, StoreError> {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store-objects")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(|e| StoreError::io("starting the object store's thread", e))
    }

    /// Waits for `work`.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.leave(async move {
            // The receiver waits below.
            let _ = sender.send(work.await);
        });
        receiver
            .recv()
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the store is closing".into())))
    }

    /// Has `work` done without waiting for it.
    pub(super) fn leave(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(work);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Waiting for the thread is not allowed in a runtime, and the last clone of a store may be dropped there.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
