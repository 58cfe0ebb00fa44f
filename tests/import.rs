//! Folders of other programs become part of a home: what is recognized, what comes along, and what stays behind.

use crate::run::{Place, tree};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use std::path::Path;

/// A safetensors file with these tensors, all zeros in half precision.
fn safetensors(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * 2;
        header.insert((*name).to_owned(), json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]}));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; end]].concat()
}

/// A whole checkpoint of Stable Diffusion XL, as far as names go.
fn sdxl() -> Vec<u8> {
    safetensors(&[
        ("model.diffusion_model.input_blocks.0.0.weight", &[8, 4, 3, 3]),
        ("conditioner.embedders.1.model.x", &[1]),
        ("first_stage_model.decoder.conv_in.weight", &[1]),
    ])
}

fn lora() -> Vec<u8> {
    safetensors(&[("lora_unet_x.lora_down.weight", &[2, 8]), ("lora_unet_x.lora_up.weight", &[8, 2])])
}

/// The built-in model with eight spaces behind its header: the same weights, but not the same file.
fn spark() -> Vec<u8> {
    let file = fs_err::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/spark/spark.safetensors")).unwrap();
    let header = u64::from_le_bytes(file[..8].try_into().unwrap());
    let (header_text, weights) = file[8..].split_at(header as usize);
    [&(header + 8).to_le_bytes(), header_text, b"        ", weights].concat()
}

/// What `torch.save` writes, as far as its first bytes go.
const PICKLE: &[u8] = b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl";

/// A picture with the settings that A1111 writes into it; nothing reads it here, so it need not be whole.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x1atEXtparameters\0a lighthouse";

/// The plan for a folder, with this place's own path taken out.
fn check_plan(place: &Place, folder: &str, expected: &Expect) {
    let ran = place.run(["import", folder, "--home", "home", "--dry-run"]).expect_success();
    assert!(!place.path("home").exists(), "a plan changes nothing");
    expected.assert_eq(&ran.stdout.replace(place.path("").to_str().unwrap(), "/…/"));
}

/// A folder of AUTOMATIC1111's web UI with everything that people have.
fn a1111() -> Place {
    let place = Place::new();
    let at = |name: &str| format!("webui/{name}");
    place.write(&at("webui.py"), "");
    place.write(&at("CHANGELOG.md"), "## 1.10.1\n\n### Bug Fixes\n## 1.10.0\n");
    place.write(&at("venv/lib/torch.pth"), PICKLE);
    let config = json!({
        "sd_model_checkpoint": "people\\Spark v2.safetensors [dc416b77b1]",
        "outdir_samples": "",
        "outdir_txt2img_samples": "outputs/txt2img-images",
        "outdir_extras_samples": place.path("elsewhere/extras"),
    });
    place.write(&at("config.json"), config.to_string());
    place.write(&at("styles.csv"), "name,prompt,negative_prompt\nold,\"oil, canvas\",photo\n");
    place.write(&at("webui-user.sh"), "export COMMANDLINE_ARGS=\"--medvram --vae-dir /unplugged/vae\"\n");
    place.write(&at("models/Stable-diffusion/people/Spark v2.safetensors"), spark());
    place.write(&at("models/Stable-diffusion/people/Spark v2.civitai.info"), "{\"name\": \"Spark\"}");
    place.write(&at("models/Stable-diffusion/people/Spark v2.preview.png"), PICTURE);
    place.write(&at("models/Stable-diffusion/copy of spark.safetensors"), spark());
    place.write(&at("models/Stable-diffusion/old.ckpt"), PICKLE);
    place.write(&at("models/Stable-diffusion/disguised.safetensors"), PICKLE);
    place.write(&at("models/Stable-diffusion/flux.safetensors"), safetensors(&[("double_blocks.0.x", &[4])]));
    place.write(&at("models/Stable-diffusion/login.safetensors"), "<!DOCTYPE html><title>Sign in</title>");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4265146304\n";
    place.write(&at("models/Stable-diffusion/pointer.safetensors"), pointer);
    let cut = sdxl();
    place.write(&at("models/Stable-diffusion/cut.safetensors"), &cut[..cut.len() - 8]);
    place.write(&at("models/Stable-diffusion/Put Stable Diffusion checkpoints here.txt"), "");
    place.write("shared/loras/ink.safetensors", lora());
    place.write("shared/loras/ink.json", "{\"activation text\": \"ink wash\"}");
    place.write(&at("models/VAE/soft.pt"), safetensors(&[("decoder.up.0.x", &[4])]));
    place.write(&at("models/ESRGAN/2x.safetensors"), safetensors(&[("model.1.sub.0.RDB1.conv1.0.weight", &[4])]));
    place.write(&at("models/ESRGAN/4x.pth"), PICKLE);
    place.write(&at("embeddings/swirlword.safetensors"), safetensors(&[("emb_params", &[2, 768])]));
    let control = safetensors(&[("control_model.a.attn2.to_k.weight", &[8, 768])]);
    place.write(&at("extensions/sd-webui-controlnet/models/canny.safetensors"), control);
    place.write(&at("extensions/sd-dynamic-prompts/wildcards/deep/colours.txt"), "red\ngreen\n");
    place.write(&at("outputs/txt2img-images/2024-05-01/00001-1.png"), PICTURE);
    place.write("elsewhere/extras/00000.png", "another picture");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("../../shared/loras", place.path(&at("models/Lora"))).unwrap();
        symlink("..", place.path("shared/loras/round and round")).unwrap();
        symlink("/unplugged/model.safetensors", place.path("shared/loras/gone.safetensors")).unwrap();
    }
    place
}

#[cfg(unix)]
#[test]
fn a_whole_folder_of_automatic1111_is_told_apart() {
    check_plan(
        &a1111(),
        "webui",
        &expect![[r#"
            Stable Diffusion web UI (AUTOMATIC1111) 1.10.1 in `/…/webui`

            Into `/…/home`:
              checkpoint  sd1                1    18.1 MiB
              lora                           1   269 bytes
              vae                            1    83 bytes
              embedding   sd1                1     3.1 KiB
              upscaler                       1   102 bytes
              controlnet  sd1                1    12.1 KiB
              with 3 files that lie beside them
              pictures                       2    54 bytes  as they are, to outputs/imported/a1111
              papers                         3   260 bytes  as they are, to imported/a1111
              together 18.2 MiB
              generation will start with `spark-v2`

            Left out:
              pickles, which can run code when they are loaded: never opened (3, 138 bytes)
                models/ESRGAN/4x.pth
                models/Stable-diffusion/disguised.safetensors
                models/Stable-diffusion/old.ckpt
                → convert them to .safetensors on the machine that they came from, then import again
              web pages under a model's name: a download was answered with a login or error page (1, 37 bytes)
                models/Stable-diffusion/login.safetensors
                → download them again, then import again
              git-LFS pointers, not the models themselves (1, 73 bytes)
                models/Stable-diffusion/pointer.safetensors
                → run `git lfs pull` in that folder on a machine with internet, then import again
              files that are damaged or hold something else (1, 869 bytes)
                models/Stable-diffusion/cut.safetensors: cut off: 869 of 877 bytes are there
                → download them again, then import again
              models that this version cannot draw with (1, 86 bytes)
                models/Stable-diffusion/flux.safetensors: a Flux checkpoint
                → add --all to carry them all the same
              links whose target is not there (1)
                models/Lora/gone.safetensors: /unplugged/model.safetensors
                → plug in the disk that they were on, or import the folder where they are now
              links to a folder that they lie in (1)
                models/Lora/round and round
              folders that the settings name and that are not there (1)
                /unplugged/vae: webui-user.sh
                → plug in the disk that they were on, or import the folder where they are now
              the same bytes as another file (1, 18.1 MiB)
                models/Stable-diffusion/copy of spark.safetensors: `/…/webui/models/Stable-diffusion/people/Spark v2.safetensors`
        "#]],
    );
}

#[cfg(unix)]
#[test]
fn a_folder_of_automatic1111_is_drawn_with_and_can_be_taken_out_again() {
    let place = a1111();
    place.spark_bundle();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    let before = tree(&place.path("webui"));
    let ran = place.run(["import", "webui", "--home", "home"]).expect_success();
    assert!(ran.stdout.contains("imported into"), "{}", ran.stdout);
    assert_eq!(tree(&place.path("webui")), before, "the folder is only read");

    let listed = place.run(["models", "--home", "home"]).expect_success().stdout;
    for part in [
        "checkpoint spark ",
        "checkpoint Spark v2",
        "lora       ink ",
        "vae        soft",
        "upscaler   2x",
        "controlnet canny",
    ] {
        assert!(listed.contains(part), "`{part}` is missing in:\n{listed}");
    }
    assert!(listed.lines().any(|line| line.contains("Spark v2") && line.contains("(default)")), "{listed}");
    place.run(["verify", "home"]).expect_success();
    place.run(["inventory", "--home", "home", "--out", "have.json"]).expect_success();
    assert!(fs_err::read_to_string(place.path("have.json")).unwrap().contains("Spark v2.safetensors"));
    for name in ["Spark v2", "spark-v2"] {
        let ran = place.run(["generate", "a banana", "--model", name, "--steps", "2", "--seed", "1", "--home", "home"]);
        ran.expect_success();
        let picture = fs_err::read(place.path("picture.png")).unwrap();
        assert!(picture.windows(16).any(|text| text == b"Model: spark-v2,"), "the picture names the model");
    }
    let read = |name: &str| fs_err::read(place.path(name)).unwrap();
    assert_eq!(read("home/outputs/imported/a1111/outputs/txt2img-images/2024-05-01/00001-1.png"), PICTURE);
    assert_eq!(read("home/outputs/imported/a1111/extras/00000.png"), b"another picture");
    assert_eq!(read("home/imported/a1111/styles.csv"), read("webui/styles.csv"));
    assert_eq!(read("home/imported/a1111/wildcards/deep/colours.txt"), b"red\ngreen\n");
    let beside = "home/generations/0002/models/checkpoints/Spark v2.civitai.info";
    assert_eq!(read(beside), b"{\"name\": \"Spark\"}");

    // Again: nothing is new, and nothing is doubled. Then one more LoRA: only that one is new.
    let kept = tree(&place.path("home"));
    let again = place.run(["import", "webui", "--home", "home"]).expect_success();
    assert!(again.stdout.contains("0 model(s), 0 pictures and papers"), "{}", again.stdout);
    assert_eq!(tree(&place.path("home")), kept);
    place.write("shared/loras/newer.safetensors", safetensors(&[("lora_unet_y.lora_down.weight", &[2, 9])]));
    let ran = place.run(["import", "webui", "--home", "home", "--json"]).expect_success();
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["report"]["generation"], &last["report"]["models"]), (&json!(3), &json!(1)), "{last:#}");

    // A bundle replaces what came with bundles; what was imported stays.
    place.write("wish/forge.toml", "name = \"other\"\ninclude = [\"spark\"]\n");
    place.run(["bundle", "wish/forge.toml", "--out", "kit2"]).expect_success();
    place.run(["install", "kit2", "--home", "home"]).expect_success();
    let listed = place.run(["models", "--home", "home"]).expect_success().stdout;
    assert!(listed.contains("Spark v2") && listed.contains("newer"), "{listed}");
    place.run(["verify", "home"]).expect_success();

    for _ in 0..3 {
        place.run(["install", "--roll-back", "--home", "home"]).expect_success();
    }
    let listed = place.run(["models", "--home", "home"]).expect_success().stdout;
    assert!(!listed.contains("Spark v2") && listed.contains("spark"), "{listed}");
    assert!(place.path("home/imported/a1111/styles.csv").is_file(), "papers are the user's own");
}

#[test]
fn other_programs_are_known_by_their_folders() {
    let place = Place::new();
    place.write("forge/webui/modules_forge/forge_version.py", "version = 'f2.0.1v1.10.1-previous'\n");
    place.write("forge/webui/models/Stable-diffusion/x.safetensors", sdxl());
    place.write("forge/webui/webui-user.bat", "@echo off\r\nset COMMANDLINE_ARGS=--forge-ref-a1111-home ../../old\r\n");
    place.write("old/models/Lora/ink.safetensors", lora());
    place.write("old/models/Stable-diffusion/same.safetensors", sdxl());
    check_plan(
        &place,
        "forge",
        &expect![[r#"
            Stable Diffusion WebUI Forge f2.0.1v1.10.1-previous in `/…/forge/webui`

            Into `/…/home`:
              checkpoint  sdxl               1   877 bytes
              lora                           1   238 bytes
              together 1.1 KiB
              generation will start with `same`

            Left out:
              the same bytes as another file (1, 877 bytes)
                models/Stable-diffusion/x.safetensors: `/…/old/models/Stable-diffusion/same.safetensors`
        "#]],
    );

    let place = Place::new();
    place.write("Fooocus/fooocus_version.py", "version = '2.5.5'\n");
    let config = json!({
        "path_checkpoints": ["models/checkpoints", place.path("disk/checkpoints")],
        "path_loras": place.path("gone"),
        "path_outputs": place.path("pictures"),
        "default_model": "second.safetensors",
    });
    place.write("Fooocus/config.txt", config.to_string());
    place.write("Fooocus/presets/anime.json", "{}");
    place.write("Fooocus/sdxl_styles/sdxl_styles_fooocus.json", "[]");
    place.write("Fooocus/wildcards/color.txt", "red");
    place.write("Fooocus/models/checkpoints/first.safetensors", sdxl());
    place.write(
        "disk/checkpoints/second.safetensors",
        safetensors(&[
            ("model.diffusion_model.input_blocks.0.0.weight", &[8, 4, 3, 3]),
            ("cond_stage_model.transformer.x", &[1]),
            ("first_stage_model.decoder.conv_in.weight", &[1]),
        ]),
    );
    place.write("Fooocus/models/inpaint/fooocus_inpaint_head.pth", PICKLE);
    place.write("pictures/2024-01-01/log.html", "<html>");
    place.write("pictures/2024-01-01/1.png", PICTURE);
    check_plan(
        &place,
        "Fooocus",
        &expect![[r#"
            Fooocus 2.5.5 in `/…/Fooocus`

            Into `/…/home`:
              checkpoint  sd1                1   876 bytes
              checkpoint  sdxl               1   877 bytes
              pictures                       2    45 bytes  as they are, to outputs/imported/fooocus
              papers                         4   206 bytes  as they are, to imported/fooocus
              together 2.0 KiB
              generation will start with `second`

            Left out:
              pickles, which can run code when they are loaded: never opened (1, 46 bytes)
                models/inpaint/fooocus_inpaint_head.pth
                → convert them to .safetensors on the machine that they came from, then import again
              folders that the settings name and that are not there (1)
                /…/gone: config.txt
                → plug in the disk that they were on, or import the folder where they are now
        "#]],
    );

    let place = Place::new();
    place.write("ComfyUI/comfyui_version.py", "# made by a script\n__version__ = \"0.3.40\"\n");
    place.write("ComfyUI/folder_paths.py", "");
    let yaml = format!(
        "shared:\n    base_path: {}\n    loras: |\n        loras\n        more loras\n    custom_nodes: nodes\n",
        place.path("shared").display()
    );
    place.write("ComfyUI/extra_model_paths.yaml", yaml);
    place.write("shared/loras/ink.safetensors", lora());
    place.write("ComfyUI/models/checkpoints/sub/x.safetensors", sdxl());
    place.write("ComfyUI/models/clip/t5.safetensors", safetensors(&[("text_model.x", &[4])]));
    place.write("ComfyUI/models/unet/model.gguf", "GGUF\x03\0\0\0");
    place.write(
        "ComfyUI/models/unet/alone.safetensors",
        safetensors(&[("model.diffusion_model.input_blocks.0.0.weight", &[8])]),
    );
    place.write("ComfyUI/output/ComfyUI_00001_.png", PICTURE);
    place.write("ComfyUI/input/example.png", PICTURE);
    place.write("ComfyUI/user/default/workflows/mine.json", "{}");
    check_plan(
        &place,
        "ComfyUI",
        &expect![[r#"
            ComfyUI 0.3.40 in `/…/ComfyUI`

            Into `/…/home`:
              checkpoint  sdxl               1   877 bytes
              lora                           1   238 bytes
              pictures                       2    78 bytes  as they are, to outputs/imported/comfyui
              papers                         2   120 bytes  as they are, to imported/comfyui
              together 1.3 KiB
              generation will start with `x`

            Left out:
              GGUF files, which this version does not read (1, 8 bytes)
                models/unet/model.gguf
                → get the same model as .safetensors
              models that this version cannot draw with (2, 204 bytes)
                models/clip/t5.safetensors: one part of a diffusers folder
                models/unet/alone.safetensors: part of a Stable Diffusion 1.x checkpoint: text encoder or VAE are not in it
                → add --all to carry them all the same
              folders that the settings name and that are not there (1)
                /…/shared/more loras: extra_model_paths.yaml
                → plug in the disk that they were on, or import the folder where they are now
        "#]],
    );

    let place = Place::new();
    place.write("invoke/invokeai.yaml", "schema_version: 4.0.2\noutputs_dir: pictures\n");
    place.write("invoke/.venv/lib/python3.11/site-packages/InvokeAI-5.6.0.dist-info/METADATA", "");
    place.write("invoke/databases/invokeai.db", "SQLite format 3\0");
    place.write("invoke/api_keys.yaml", "secret");
    place.write("invoke/models/1b2c/x.safetensors", sdxl());
    place.write("invoke/models/sd-1/lora/ink/pytorch_lora_weights.safetensors", lora());
    place.write("invoke/pictures/images/a.png", PICTURE);
    place.write("invoke/pictures/images/thumbnails/a.webp", "small");
    check_plan(
        &place,
        "invoke",
        &expect![[r#"
        InvokeAI 5.6.0 in `/…/invoke`

        Into `/…/home`:
          checkpoint  sdxl               1   877 bytes
          lora                           1   238 bytes
          pictures                       1    39 bytes  with their settings as text, to outputs/imported/invokeai
          papers                         2    60 bytes  as they are, to imported/invokeai
          together 1.2 KiB
          generation will start with `x`

        Left out:
          what cannot be read (1)
            databases/invokeai.db: it is no database of InvokeAI that can be read: file is not a database
            → run this as the account that owns them, or check the disk
    "#]],
    );

    let place = Place::new();
    place.write("any/deep/x.safetensors", sdxl());
    check_plan(
        &place,
        "any",
        &expect![[r#"
        A folder of models in `/…/any`

        Into `/…/home`:
          checkpoint  sdxl               1   877 bytes
          together 877 bytes
          generation will start with `x`
    "#]],
    );
}

#[test]
fn a_folder_of_diffusers_comes_along_as_one_model() {
    let place = Place::new();
    let at = |name: &str| format!("any/My Model v1.5/{name}");
    place.write(&at("model_index.json"), "{\"_class_name\": \"StableDiffusionPipeline\"}");
    place.write(&at("unet/config.json"), "{}");
    place.write(&at("unet/diffusion_pytorch_model.safetensors"), safetensors(&[("conv_in.weight", &[8, 4, 3, 3])]));
    place.write(&at("unet/diffusion_pytorch_model.bin"), PICKLE);
    place.write(
        &at("vae/diffusion_pytorch_model.safetensors"),
        safetensors(&[("decoder.conv_in.weight", &[8, 4, 3, 3])]),
    );
    place.write(&at("text_encoder/model.safetensors"), safetensors(&[("text_model.final_layer_norm.weight", &[8])]));
    let ran = place.run(["import", "any", "--home", "home"]).expect_success();
    assert!(ran.stderr.contains("unet/diffusion_pytorch_model.bin"), "{}", ran.stderr);
    let listed = place.run(["models", "--home", "home", "--json"]).expect_success();
    let json: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(json.as_array().map(Vec::len), Some(1), "{json:#}");
    assert_eq!((&json[0]["name"], &json[0]["id"]), (&json!("My Model v1.5"), &json!("my-model-v1.5")));
    assert!(place.path("home/generations/0001/models/checkpoints/My Model v1.5/unet/config.json").is_file());
    let again = place.run(["import", "any", "--home", "home", "--dry-run"]).expect_success();
    assert!(again.stdout.contains("Nothing new for"), "{}", again.stdout);
}

#[test]
fn a_request_for_a_bundle_can_be_written_instead() {
    let place = Place::new();
    place.write("any/Spark v2.safetensors", spark());
    place.write("any/ink.safetensors", lora());
    let ran = place.run(["import", "any", "--write", "forge.toml"]).expect_success();
    assert!(ran.stdout.contains("names 2 model(s)"), "{}", ran.stdout);
    place.run(["bundle", "forge.toml", "--out", "kit"]).expect_success();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    let listed = place.run(["models", "--home", "home"]).expect_success().stdout;
    assert!(listed.contains("Spark v2") && listed.contains("ink"), "{listed}");
    place.run(["import", "any", "--write", "forge.toml"]).expect_refusal(&["is there already"]);
}

/// A disk that fails in one place: the rest comes along, and the status says that something is missing.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_cannot_be_read_is_named_and_not_passed_over() {
    let place = Place::new();
    place.write("webui/webui.py", "");
    let bad = place.write("webui/models/Lora/bad.safetensors", lora());
    place.write("webui/models/Stable-diffusion/drawn.safetensors", spark());
    let mut command = place.command("strace");
    command.args(["-f", "-qq", "-o", "trace", "-e", "trace=openat", "-P"]).arg(&bad);
    command.args(["-e", "inject=openat:error=EIO", env!("CARGO_BIN_EXE_fieldforge")]);
    let ran = command.args(["import", "webui", "--home", "home"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("1 file(s) could not be read") && said.contains("bad.safetensors"), "{said}");
    assert!(said.contains("os error 5"), "the cause is named: {said}");
    assert!(place.run(["models", "--home", "home"]).expect_success().stdout.contains("drawn"));
    place.run(["import", "webui", "--home", "home"]).expect_success();
    assert!(place.run(["models", "--home", "home"]).expect_success().stdout.contains("bad"));
}

#[test]
fn what_cannot_be_imported_is_refused_with_words() {
    let place = Place::new();
    place.write("empty/readme.txt", "hello");
    place.run(["import", "empty", "--home", "home"]).expect_refusal(&["holds no models, pictures or settings"]);
    place.run(["import", "nowhere", "--home", "home"]).expect_refusal(&["is no folder"]);
    place.write("any/x.safetensors", sdxl());
    place.run(["import", "any", "--home", "any/home"]).expect_refusal(&["lies inside"]);
    place.run(["import", "any", "--home", "home"]).expect_success();
    place.run(["import", "home", "--home", "other"]).expect_refusal(&["is a home of this program already"]);
    // Only what this version cannot draw with: said, and carried when asked for.
    place.write("flux/big.safetensors", safetensors(&[("double_blocks.0.x", &[4])]));
    let ran = place.run(["import", "flux", "--home", "home"]).expect_success();
    assert!(ran.stderr.contains("a Flux checkpoint") && ran.stderr.contains("--all"), "{}", ran.stderr);
    place.run(["import", "flux", "--home", "home", "--all"]).expect_success();
    assert!(place.path("home/generations/0002/models/checkpoints/big.safetensors").is_file());
    place.run(["verify", "home"]).expect_success();
}
