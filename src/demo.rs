//! x
use crate::cli::Demo; use crate::output::Output; use crate::failure::*;
pub fn run(_d: &Demo, _o: &mut Output) -> Outcome { Err(Failure::could_not("wip")) }
