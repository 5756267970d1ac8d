//! Services and calls of the layer for tower are polled, cloned and dropped in any order. No permit
//! is lost, and each call has one outcome.
#![no_main]

#[path = "../../tests/it/tower/drive.rs"]
mod drive;

use arbitrary::{Result, Unstructured};
use drive::{Operation, Reply, Settings, drive};
use libfuzzer_sys::{Corpus, fuzz_target};

const LONGEST_RUN: usize = 500;

fuzz_target!(|data: &[u8]| -> Corpus {
    match run(&mut Unstructured::new(data)) {
        Ok(()) => Corpus::Keep,
        Err(_) => Corpus::Reject,
    }
});

fn run(bytes: &mut Unstructured<'_>) -> Result<()> {
    let settings = Settings {
        waits: bytes.arbitrary()?,
        counts_ready_errors: bytes.arbitrary()?,
        probes: bytes.int_in_range(1..=5)?,
    };
    let mut operations = Vec::new();
    while !bytes.is_empty() && operations.len() < LONGEST_RUN {
        operations.push(operation(bytes)?);
    }
    drive(settings, &operations);
    Ok(())
}

fn operation(bytes: &mut Unstructured<'_>) -> Result<Operation> {
    let number = bytes.int_in_range(0..=7)?;
    Ok(match bytes.int_in_range(0..=19_u8)? {
        0..=4 => Operation::PollReady(number),
        5..=8 => Operation::Call {
            service: number,
            polls: bytes.int_in_range(0..=3)?,
            reply: *bytes.choose(&[
                Reply::Succeed,
                Reply::Succeed,
                Reply::Fail,
                Reply::Fail,
                Reply::Panic,
                Reply::PanicInCall,
            ])?,
        },
        9..=11 => Operation::PollCall(number),
        12 => Operation::DropCall(number),
        13 => Operation::Clone(number),
        14 => Operation::DropService(number),
        15..=16 => Operation::Advance(bytes.arbitrary::<u16>()?.into()),
        17 => Operation::Trip(bytes.arbitrary::<u16>()?.into()),
        18 => Operation::Command(bytes.int_in_range(0..=3)?),
        _ => Operation::Gate(bytes.int_in_range(0..=2)?),
    })
}
