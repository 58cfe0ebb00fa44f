//! `bench`: how fast this machine draws, without network and without an installation.

use crate::cli::BenchArgs;
use crate::commands::generate::parse_size;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Seconds};
use crate::{home, models};
use engine::{KernelSpeed, ModelSpeed, Precision};
use serde::Serialize;
use std::fmt;
use std::time::Instant;

/// Steps of the picture whose time is foretold.
const STEPS: u32 = 20;

/// What was measured.
#[derive(Debug, Serialize)]
struct Bench {
    /// The processor's instructions that are used.
    instructions: &'static str,
    threads: usize,
    /// Bytes a second.
    memory_bandwidth: f64,
    kernels: Vec<KernelSpeed>,
    model: String,
    load_seconds: f64,
    speeds: Vec<ModelSpeed>,
}

pub(crate) fn run(args: &BenchArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    let choice = match &args.model {
        Some(model) => models::choose(&home, Some(model))?,
        None => models::ModelChoice::embedded(),
    };
    let size = args.size.as_deref().map(parse_size).transpose()?;
    let stopped = || Failure::stopped("nothing was kept");
    output.say("measuring memory");
    let memory_bandwidth = engine::memory_bandwidth();
    let kernels = engine::kernel_speeds(&mut |name| {
        output.say(format!("measuring: {name}"));
        !output.stop().asked()
    });
    if output.stop().asked() {
        return Err(stopped());
    }
    let began = Instant::now();
    let mut model = choice.load()?;
    let load_seconds = began.elapsed().as_secs_f64();
    let (width, height) = size.unwrap_or((model.info().width, model.info().height));
    let mut speeds = Vec::new();
    for precision in [Precision::F32, Precision::Bf16] {
        if args.precision.is_some_and(|wanted| wanted != precision) {
            continue;
        }
        if output.stop().asked() {
            return Err(stopped());
        }
        output.say(format!("measuring: {}, {width}x{height}, {precision}", choice.id));
        model.set_precision(precision);
        speeds.push(ModelSpeed::measure(&model, width, height)?);
    }
    let bench = Bench {
        instructions: engine::instructions(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bandwidth,
        kernels,
        model: choice.id,
        load_seconds,
        speeds,
    };
    output.result(&bench, bench.to_string().trim_end());
    Ok(())
}

impl fmt::Display for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} threads, {}; memory is read at {:.1} GB/s",
            self.threads,
            self.instructions,
            self.memory_bandwidth / 1e9
        )?;
        writeln!(f, "\n{:<42} {:>9} {:>9}", "GFLOP/s", "f32", "bf16")?;
        for pair in self.kernels.chunks(2) {
            let [exact, fast] = pair else { continue };
            writeln!(f, "{:<42} {:>9.0} {:>9.0}", exact.name, exact.gflops, fast.gflops)?;
        }
        writeln!(f, "\n{}, opened in {}", self.model, Seconds(self.load_seconds))?;
        writeln!(f, "{:<20} {:>9} {:>12} {:>9} {:>14}", "", "text", "step (CFG)", "decoding", "20-step picture")?;
        for speed in &self.speeds {
            writeln!(
                f,
                "{:<20} {:>7.2} s {:>10.2} s {:>7.2} s {:>13.1} s",
                format!("{}x{}, {}", speed.width, speed.height, speed.precision),
                speed.text_seconds,
                speed.step_seconds,
                speed.decode_seconds,
                speed.picture_seconds(STEPS)
            )?;
        }
        Ok(())
    }
}
