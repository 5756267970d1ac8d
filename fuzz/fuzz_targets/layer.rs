//! Services and calls of the layer for tower are polled, cloned and dropped in any order, and so are
//! bodies of the layers for HTTP and gRPC. No permit is lost, and each call has one outcome.
#![no_main]

#[path = "../../tests/it/http/drive.rs"]
mod bodies;
#[path = "../../tests/it/tower/drive.rs"]
mod drive;

use arbitrary::{Result, Unstructured};
use bodies::{BodyOperation, Piece, Plan, drive_bodies};
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
    if bytes.arbitrary()? {
        return run_bodies(bytes);
    }
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

fn run_bodies(bytes: &mut Unstructured<'_>) -> Result<()> {
    let is_grpc = bytes.arbitrary()?;
    let mut operations = Vec::new();
    while !bytes.is_empty() && operations.len() < LONGEST_RUN {
        operations.push(body_operation(bytes)?);
    }
    drive_bodies(is_grpc, &operations);
    Ok(())
}

fn body_operation(bytes: &mut Unstructured<'_>) -> Result<BodyOperation> {
    Ok(match bytes.int_in_range(0..=15_u8)? {
        0..=3 => BodyOperation::Call(plan(bytes)?),
        4..=10 => BodyOperation::Poll(bytes.int_in_range(0..=7)?),
        11..=12 => BodyOperation::Drop(bytes.int_in_range(0..=7)?),
        13 => BodyOperation::Advance(bytes.arbitrary::<u16>()?.into()),
        14 => BodyOperation::Trip,
        _ => BodyOperation::Reset,
    })
}

fn plan(bytes: &mut Unstructured<'_>) -> Result<Plan> {
    let mut plan = Plan {
        is_head: bytes.ratio(1, 8)?,
        status: *bytes.choose(&[200, 200, 200, 200, 204, 404, 502])?,
        code: if bytes.ratio(1, 4)? {
            code(bytes)?
        } else {
            None
        },
        content_length: bytes.arbitrary()?,
        promised: bytes.arbitrary()?,
        tells_end: bytes.arbitrary()?,
        pieces: [].into(),
    };
    for _ in 0..bytes.int_in_range(0..=5_u8)? {
        plan.pieces.push_back(match bytes.int_in_range(0..=9_u8)? {
            0..=4 => Piece::Data(bytes.arbitrary()?),
            5..=6 => Piece::Trailers(code(bytes)?),
            7 => Piece::Pending,
            8 => Piece::Error,
            _ => Piece::Panic,
        });
    }
    Ok(plan)
}

/// A code of gRPC, without the one that times out.
fn code(bytes: &mut Unstructured<'_>) -> Result<Option<u8>> {
    Ok(bytes.arbitrary::<Option<u8>>()?.filter(|code| *code != 4))
}
