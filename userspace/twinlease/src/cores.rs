//! Which cores run the threads that are no workers.
//!
//! A worker under load leaves nothing of its core, and one that only waits for a commit spins. Left
//! to itself the kernel runs the journal's thread beside the worker that wakes it, and the block
//! layer's thread beside the journal's, so that both wait for the core behind a worker that waits
//! for them.

use rustix::thread::CpuSet;

/// Keeps this thread, and those that it begins, off the workers' cores, if there are others.
pub fn leave_to_workers(workers: &[usize], allowed: &[usize]) {
    let others = others(workers, allowed);
    if others.is_empty() {
        return;
    }
    let mut set = CpuSet::new();
    for core in &others {
        set.set(*core);
    }
    match rustix::thread::sched_setaffinity(None, &set) {
        Ok(()) => tracing::debug!(cores = ?others, "journal and control have cores of their own"),
        Err(error) => tracing::warn!(
            cores = ?others, %error,
            "journal and control run on the workers' cores"
        ),
    }
}

/// Whether what this thread begins may run on a core.
pub fn may_use(core: usize) -> bool {
    let allowed = rustix::thread::sched_getaffinity(None);
    core >= CpuSet::MAX_CPU || allowed.is_ok_and(|allowed| allowed.is_set(core))
}

/// The allowed cores that no worker has.
fn others(workers: &[usize], allowed: &[usize]) -> Vec<usize> {
    let is_free = |core: &usize| *core < CpuSet::MAX_CPU && !workers.contains(core);
    allowed.iter().copied().filter(is_free).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_worker_keeps_off_the_workers_cores() {
        let before = rustix::thread::sched_getaffinity(None).unwrap();
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|core| before.is_set(*core))
            .collect();
        let (own, rest) = allowed.split_first().unwrap();
        leave_to_workers(&[*own], &allowed);
        let after = rustix::thread::sched_getaffinity(None).unwrap();
        match rest {
            [] => assert!(after.is_set(*own), "there is no other core"),
            _ => {
                assert!(!after.is_set(*own));
                assert!(rest.iter().all(|core| after.is_set(*core)));
            }
        }
    }

    #[test]
    fn workers_on_every_core_leave_none() {
        assert!(others(&[0, 1], &[0, 1]).is_empty());
        assert_eq!(others(&[1, 3], &[0, 1, 2, 3]), [0, 2]);
        // Not every core of the machine may be used.
        assert!(others(&[2], &[2]).is_empty());
    }
}
