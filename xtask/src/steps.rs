//! A list of steps with times, the output of those that fail, and one closing line.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// A step it builds upon failed.
    NotRun,
}

/// The steps so far.
#[derive(Debug, Default)]
pub struct Steps {
    passed: usize,
    failed: usize,
    not_run: usize,
}

impl Steps {
    /// Runs a step unless one of `needs` did not pass. Counts each test that it reports, else the
    /// step itself.
    pub fn run(&mut self, name: &str, needs: &[Outcome], commands: Vec<Command>) -> Outcome {
        self.run_with(name, needs, || run_all(commands))
    }

    /// Like [`Steps::run`] with any work, which returns whether it succeeded and what it printed.
    pub fn run_with(
        &mut self,
        name: &str,
        needs: &[Outcome],
        work: impl FnOnce() -> Result<(bool, String)>,
    ) -> Outcome {
        if needs.iter().any(|need| *need != Outcome::Passed) {
            println!("{name:<34} not run: a step it builds upon failed");
            self.not_run += 1;
            return Outcome::NotRun;
        }
        print!("{name:<34} ");
        flush();
        let start = Instant::now();
        let (success, output) = work().unwrap_or_else(|error| (false, format!("{error:#}\n")));
        let seconds = start.elapsed().as_secs_f64();
        let (passed, failed) = counts(&output);
        self.passed += if success { passed.max(1) } else { passed };
        self.failed += if success { failed } else { failed.max(1) };
        let tests = if passed > 0 {
            format!("  {passed} tests")
        } else {
            String::new()
        };
        if success {
            println!("ok      {seconds:7.1} s{tests}");
            for line in output.lines().filter(|line| line.starts_with("skipped:")) {
                println!("    {line}");
            }
            Outcome::Passed
        } else {
            println!("FAILED  {seconds:7.1} s{tests}\n{output}");
            Outcome::Failed
        }
    }

    /// Prints the closing line; whether all is in order.
    pub fn close(&self) -> bool {
        if self.not_run > 0 {
            println!("{} steps were not run", self.not_run);
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.not_run == 0
    }
}

fn flush() {
    use std::io::Write;
    // A terminal that is gone is noticed by the next println.
    let _flushed = std::io::stdout().flush();
}

/// Runs all commands, also after one that fails; whether all succeeded, and what they printed.
///
/// # Errors
/// One cannot be started.
pub fn run_all(commands: Vec<Command>) -> Result<(bool, String)> {
    let mut all = true;
    let mut output = String::new();
    for mut command in commands {
        // What the commands before it said matters as much as that this one is not there.
        let (success, text) =
            run_captured(&mut command).unwrap_or_else(|error| (false, format!("{error:#}\n")));
        output.push_str(&text);
        if !success {
            output.push_str(&format!("failed: {command:?}\n"));
        }
        all &= success;
    }
    Ok((all, output))
}

/// Runs a command with both outputs in one text, in the order they were written.
fn run_captured(command: &mut Command) -> Result<(bool, String)> {
    let (mut reader, writer) = std::io::pipe().context("no pipe")?;
    let shown = format!("{command:?}");
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    // The command still holds the pipe's writing end, without which the reading would not end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut bytes)?;
    let status = child.wait()?;
    Ok((
        status.success(),
        String::from_utf8_lossy(&bytes).into_owned(),
    ))
}

/// Passed and failed tests in the output of `cargo test`.
fn counts(output: &str) -> (usize, usize) {
    let results = output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("test result: "));
    results.fold((0, 0), |(passed, failed), line| {
        (
            passed + number_before(line, " passed"),
            failed + number_before(line, " failed"),
        )
    })
}

fn number_before(line: &str, word: &str) -> usize {
    let before = line.split(word).next().unwrap_or_default();
    let digits = before
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    digits.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<Command> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        vec![command]
    }

    #[test]
    fn tests_are_counted() {
        let output = "test result: ok. 12 passed; 0 failed; 1 ignored\nnoise\n\
                      test result: FAILED. 3 passed; 2 failed; 0 ignored";
        assert_eq!(counts(output), (15, 2));
        assert_eq!(counts("nothing"), (0, 0));
    }

    #[test]
    fn a_failure_is_remembered_and_what_does_not_build_upon_it_runs() {
        let mut steps = Steps::default();
        let failed = steps.run(
            "one",
            &[],
            shell("echo 'test result: 3 passed; 2 failed'; exit 1"),
        );
        assert_eq!(failed, Outcome::Failed);
        assert_eq!(steps.run("two", &[failed], shell("true")), Outcome::NotRun);
        assert_eq!(steps.run("three", &[], shell("true")), Outcome::Passed);
        assert_eq!((steps.passed, steps.failed, steps.not_run), (4, 2, 1));
        assert!(!steps.close());
    }

    #[test]
    fn a_program_that_is_missing_is_a_failed_step() {
        let mut steps = Steps::default();
        let outcome = steps.run("one", &[], vec![Command::new("/no/such/program")]);
        assert_eq!(outcome, Outcome::Failed);
    }

    #[test]
    fn output_keeps_its_order() {
        let (success, text) = run_captured(&mut shell("echo a; echo b >&2; echo c")[0]).unwrap();
        assert!(success);
        assert_eq!(text, "a\nb\nc\n");
    }
}
