//! How fast candle-transformers is: `candle-speed FOLDER SIDE`. Its last line is JSON, in seconds.

use candle_core::{DType, Device, Result, Tensor};
use candle_transformers::models::stable_diffusion::{StableDiffusionConfig, build_clip_transformer};
use std::time::Instant;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("the folder");
    let side: usize = arguments.next().and_then(|side| side.parse().ok()).expect("the side of the picture");
    let device = Device::Cpu;
    let config = StableDiffusionConfig::v1_5(None, Some(side), Some(side));

    let began = Instant::now();
    let text = build_clip_transformer(&config.clip, format!("{folder}/text_encoder/model.safetensors"), &device, DType::F32)?;
    let vae = config.build_vae(format!("{folder}/vae/diffusion_pytorch_model.safetensors"), &device, DType::F32)?;
    let unet = config.build_unet(format!("{folder}/unet/diffusion_pytorch_model.safetensors"), &device, 4, false, DType::F32)?;
    let opening = began.elapsed().as_secs_f64();

    // candle's encoder takes one prompt at a time
    let began = Instant::now();
    let mut ids = vec![49407_u32; 77];
    ids[0] = 49406;
    let ids = Tensor::from_vec(ids, (1, 77), &device)?;
    let encode = || candle_core::Module::forward(&text, &ids);
    let context = Tensor::cat(&[encode()?, encode()?], 0)?;
    let encoding = began.elapsed().as_secs_f64();

    let noise = Tensor::randn(0_f32, 1., (2, 4, side / 8, side / 8), &device)?;
    unet.forward(&noise, 500., &context)?;
    let began = Instant::now();
    unet.forward(&noise, 500., &context)?;
    let step = began.elapsed().as_secs_f64();

    let began = Instant::now();
    vae.decode(&noise.narrow(0, 0, 1)?)?;
    let decoding = began.elapsed().as_secs_f64();
    println!(r#"{{"opening": {opening}, "text": {encoding}, "step": {step}, "decoding": {decoding}}}"#);
    Ok(())
}
