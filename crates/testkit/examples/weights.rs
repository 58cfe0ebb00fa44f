//! Writes weights as checkpoints hold them, for benchmarks: `weights DIR BYTES`.
//!
//! Three safetensors files of many fp16 tensors in the shapes of a U-Net. Every tensor is Gaussian with a deviation of
//! its own, as after training: near `1 / sqrt(inputs)` for matrices and convolutions, around 1 for normalizations,
//! around 0 for biases. The same arguments give the same bytes on one machine.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::thread;

/// Files and their part of all bytes, in per mille: a checkpoint, a smaller one, a LoRA.
const FILES: [(&str, u64); 3] = [("checkpoint", 780), ("vae", 160), ("lora", 60)];

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(Ok(bytes))) = (arguments.next(), arguments.next().map(|text| text.parse::<u64>())) else {
        return Err(std::io::Error::other("usage: weights DIR BYTES"));
    };
    fs_err::create_dir_all(&folder)?;
    thread::scope(|scope| {
        let work: Vec<_> = (1..)
            .zip(FILES)
            .map(|(seed, (name, part))| {
                let path = Path::new(&folder).join(format!("{name}.safetensors"));
                scope.spawn(move || write_file(&path, bytes * part / 1000, seed))
            })
            .collect();
        work.into_iter().try_for_each(|one| one.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread broke"))))
    })
}

struct Tensor {
    name: String,
    shape: Vec<u64>,
    mean: f32,
    deviation: f32,
}

fn write_file(path: &Path, bytes: u64, seed: u64) -> std::io::Result<()> {
    let mut random = Random(seed);
    let tensors = tensors(bytes, &mut random);
    let mut header = String::from("{");
    let mut end = 0;
    for tensor in &tensors {
        let start = end;
        end += 2 * tensor.shape.iter().product::<u64>();
        let comma = if start == 0 { "" } else { "," };
        let Tensor { name, shape, .. } = tensor;
        header +=
            &format!("{comma}\"{name}\":{{\"dtype\":\"F16\",\"shape\":{shape:?},\"data_offsets\":[{start},{end}]}}");
    }
    header.push('}');
    // The format wants the weights aligned.
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let mut file = BufWriter::with_capacity(1 << 20, fs_err::File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for tensor in &tensors {
        for _ in 0..tensor.shape.iter().product::<u64>() {
            file.write_all(&half(tensor.mean + tensor.deviation * random.gaussian()).to_le_bytes())?;
        }
    }
    file.into_inner()?.sync_all()
}

/// Tensors of a network that grow wider, until they fill about so many bytes.
fn tensors(bytes: u64, random: &mut Random) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    let mut left = bytes;
    for block in 0.. {
        let width = [320, 640, 1280][block % 3];
        let spread = |random: &mut Random| (0.4 * random.gaussian()).exp();
        let layers: [(&str, Vec<u64>, f32, f32); 6] = [
            ("norm.weight", vec![width], 1.0, 0.2),
            ("norm.bias", vec![width], 0.0, 0.05),
            ("attn.to_q.weight", vec![width, width], 0.0, 1.0 / (width as f32).sqrt()),
            ("ff.net.0.proj.weight", vec![8 * width, width], 0.0, 0.7 / (width as f32).sqrt()),
            ("conv.weight", vec![width, width, 3, 3], 0.0, 0.5 / (9.0 * width as f32).sqrt()),
            ("conv.bias", vec![width], 0.0, 0.03),
        ];
        for (layer, shape, mean, deviation) in layers {
            let size = 2 * shape.iter().product::<u64>();
            if size > left {
                return tensors;
            }
            left -= size;
            let name = format!("model.diffusion_model.blocks.{block}.{layer}");
            tensors.push(Tensor { name, shape, mean, deviation: deviation * spread(random) });
        }
    }
    tensors
}

/// The nearest half-precision number (IEEE 754 binary16); what is too small becomes a subnormal one.
fn half(value: f32) -> u16 {
    let sign = ((value.to_bits() >> 16) & 0x8000) as u16;
    let size = value.abs();
    if size < 6.103_515_6e-5 {
        return sign | (size * 16_777_216.0).round_ties_even() as u16;
    }
    let bits = size.to_bits();
    let rounded = bits + 0xfff + ((bits >> 13) & 1);
    sign | ((rounded - (112 << 23)) >> 13).min(0x7bff) as u16
}

/// SplitMix64 (Steele, Lea, Flood 2014) and the method of Box and Muller.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn gaussian(&mut self) -> f32 {
        let bits = self.next();
        let radius = ((bits >> 40) as f32 + 0.5) / (1u32 << 24) as f32;
        let angle = (bits & 0xff_ffff) as f32 / (1u32 << 24) as f32;
        (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
    }
}
