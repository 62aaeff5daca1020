//! Who asks OCSP responders: the program does, this room only says what it wants to know.

use std::sync::Arc;

use identity::ocsp::{Answer, Answers, Question};
use mail::Digest;

/// Called once, when a question was answered or nobody is left to answer it.
pub type Told = Box<dyn FnOnce() + Send>;

/// Keeps answers and asks for newer ones.
pub trait Responders: Answers + Send + Sync {
    /// Has one certificate's questions asked, the second where the first is not answered. `false`: it is not asked now,
    /// because it was lately or too much is; then `told` is dropped.
    fn ask(&self, questions: Vec<Question>, told: Told) -> bool;
}

/// Where nobody is asked.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Answers for Nobody {
    fn about(&self, _: &Digest) -> Option<Arc<Answer>> {
        None
    }
}

impl Responders for Nobody {
    fn ask(&self, _: Vec<Question>, _: Told) -> bool {
        false
    }
}
