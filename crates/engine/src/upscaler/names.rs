use crate::checkpoint::Scope;

/// Where the parts of a dense network lie in a file; three programs gave them three sets of names.
pub(super) struct Names {
    pub(super) first: String,
    /// Blocks with this prefix and a number.
    pub(super) block: String,
    pub(super) blocks: usize,
    /// What the dense parts of a block are called, before their number.
    pub(super) part: &'static str,
    /// What follows the name of a convolution in a dense part.
    pub(super) suffix: &'static str,
    pub(super) trunk: String,
    /// The convolutions behind each doubling.
    pub(super) doublings: Vec<String>,
    pub(super) large: String,
    pub(super) last: String,
}

/// The names that the tensors under `scope` follow, `None` if they are those of no dense network.
pub(super) fn of(scope: &Scope<'_>) -> Option<Names> {
    if scope.contains("model.1.sub.0.RDB1.conv1.0.weight") {
        return sequence(scope);
    }
    // the second code of ESRGAN, and Real-ESRGAN's (BasicSR)
    for (block, part, trunk, doubling, large) in
        [("RRDB_trunk", "RDB", "trunk_conv", "upconv", "HRconv"), ("body", "rdb", "conv_body", "conv_up", "conv_hr")]
    {
        let named = |i: usize| scope.contains(&format!("{block}.{i}.{part}1.conv1.weight"));
        if named(0) {
            let doublings = (1..).map(|i| format!("{doubling}{i}"));
            return Some(Names {
                first: "conv_first".to_owned(),
                block: block.to_owned(),
                blocks: (0..).take_while(|&i| named(i)).count(),
                part,
                suffix: "",
                trunk: trunk.to_owned(),
                doublings: doublings.take_while(|name| scope.contains(&format!("{name}.weight"))).collect(),
                large: large.to_owned(),
                last: "conv_last".to_owned(),
            });
        }
    }
    None
}

/// The first code of ESRGAN numbers all modules; the convolutions behind the trunk are told by which numbers exist.
fn sequence(scope: &Scope<'_>) -> Option<Names> {
    let named = |i: usize| scope.contains(&format!("model.1.sub.{i}.RDB1.conv1.0.weight"));
    let blocks = (0..).take_while(|&i| named(i)).count();
    // each doubling takes three numbers, and there are at most three
    let mut rest: Vec<String> =
        (2..14).map(|i| format!("model.{i}")).filter(|name| scope.contains(&format!("{name}.weight"))).collect();
    let last = rest.pop()?;
    let large = rest.pop()?;
    Some(Names {
        first: "model.0".to_owned(),
        block: "model.1.sub".to_owned(),
        blocks,
        part: "RDB",
        suffix: ".0",
        trunk: format!("model.1.sub.{blocks}"),
        doublings: rest,
        large,
        last,
    })
}
