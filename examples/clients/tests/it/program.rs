//! A program of this package, as a process of its own.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Program {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub(crate) fn start(path: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            input,
            output,
        }
    }

    /// Waits for the next line that the program prints.
    pub(crate) fn line(&mut self) -> String {
        self.output.next().expect("the program has ended").unwrap()
    }

    /// Asks for an item. Returns the program's answer.
    pub(crate) fn ask(&mut self, item: &str) -> String {
        writeln!(self.input, "{item}").unwrap();
        let line = self.line();
        let answer = line
            .strip_prefix(item)
            .and_then(|rest| rest.strip_prefix(": "));
        answer.expect("an answer about the item").to_string()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
