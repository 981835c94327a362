//! A Pool hands tasks to so many workers at once, and gives back what came of them.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::child::{Child, Recipe};
use super::run::{SeedRun, Task};
use crate::error::Error;

/// Processes that die, at most: what kills one after the other is not worth more seeds.
const MOST_CRASHES: usize = 20;

/// Runs all tasks on `jobs` new processes and tells each result as it comes, in no certain order. Ends early with `Ok` when too many
/// processes died.
pub fn run(
    recipe: &Recipe,
    jobs: usize,
    tasks: impl Iterator<Item = Task> + Send,
    mut tell: impl FnMut(SeedRun),
) -> Result<(), Error> {
    let queue = Queue { tasks: Mutex::new((Box::new(tasks), 0)) };
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (queue, sender) = (&queue, sender.clone());
            scope.spawn(move || serve(recipe, queue, &sender));
        }
        drop(sender);
        for result in results {
            match result {
                Ok(run) => tell(run),
                Err(error) => {
                    queue.close();
                    return Err(error);
                }
            }
        }
        Ok(())
    })
}

struct Queue<'a> {
    /// What is left, and how many processes died.
    tasks: Mutex<(Box<dyn Iterator<Item = Task> + Send + 'a>, usize)>,
}

impl Queue<'_> {
    fn next(&self) -> Option<Task> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).0.next()
    }

    fn crashed(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.1 += 1;
        if tasks.1 >= MOST_CRASHES {
            tasks.0 = Box::new(std::iter::empty());
        }
    }

    /// Nothing more is handed out.
    fn close(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).0 = Box::new(std::iter::empty());
    }
}

/// One worker after the other, until there is nothing left to do.
fn serve(recipe: &Recipe, queue: &Queue<'_>, results: &Sender<Result<SeedRun, Error>>) {
    let mut child = None;
    while let Some(task) = queue.next() {
        let running = match child.take() {
            Some(running) => Ok(running),
            None => Child::start(recipe),
        };
        let result = running.and_then(|mut running| {
            let run = running.ask(&task)?;
            if run.has_crashed() {
                queue.crashed();
            } else {
                child = Some(running);
            }
            Ok(run)
        });
        let failed = result.is_err();
        if results.send(result).is_err() || failed {
            return;
        }
    }
}
