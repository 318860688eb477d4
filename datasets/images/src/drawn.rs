//! `shapes`: scenes of 48x48 RGB pixels, drawn by this file, so that a model learns to segment on a
//! machine with no data and no network.
//!
//! Four to eight shapes of four classes lie over each other on a striped ground, shaded and noisy. Item
//! `i` of a split is a function of (seed, split, `i`) and nothing else. Each class has its usual colours,
//! which others have at times: a model that sees no outlines, also of what is half covered, is wrong
//! there. Pixels on an outline, where colours mix, are void, as in PASCAL VOC's masks.

use crate::draws::Draws;
use crate::scenes::{Items, Scene, SceneSet, SceneSplits, VOID};

/// Height and width of a scene, in pixels.
const SIDE: usize = 48;
/// Scenes to train, validate and test with.
pub(crate) const SCENES: [usize; 3] = [2_000, 200, 400];
/// The seed of the set that everyone gets; another one would be another data set.
const SEED: u64 = 0x73_63_65_6e_65;
/// What a pixel can be; the shapes are numbered as in [`Outline::NUMBERED`].
pub(crate) const CLASSES: &[&str] = &["ground", "disc", "square", "triangle", "ring"];
/// Shapes of a scene: at least, and at most so many more.
const SHAPES: [usize; 2] = [4, 4];
/// Half a shape's extent, in pixels.
const RADIUS: [f32; 2] = [5.0, 12.0];
/// The usual colours of the shapes, numbered as they are.
const USUAL: [[f32; 3]; 4] = [
    [0.75, 0.35, 0.3],
    [0.3, 0.65, 0.35],
    [0.3, 0.4, 0.75],
    [0.7, 0.65, 0.3],
];
/// How far a channel may be from the usual one.
const UNUSUAL: f32 = 0.3;
/// Least distance between the colours of a shape and the ground in their most different channel.
const LEAST_CONTRAST: f32 = 0.25;
/// Amplitude of the shading across a shape, in parts of the full range.
const SHADE: f32 = 0.2;
/// Amplitude of the ground's stripes.
const STRIPES: f32 = 0.12;
/// Standard deviation of each sample's noise.
const NOISE: [f32; 2] = [0.02, 0.12];

/// Which scenes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Split {
    Train,
    Valid,
    Test,
}

impl Split {
    pub(crate) fn len(self) -> usize {
        SCENES[self as usize]
    }
}

/// The whole set; a scene is drawn when it is asked for.
pub(crate) fn open() -> SceneSplits {
    let set = |split| SceneSet {
        shape: [3, SIDE, SIDE],
        classes: CLASSES.iter().map(|&class| class.into()).collect(),
        items: Items::Drawn(split),
    };
    SceneSplits {
        train: set(Split::Train),
        valid: Some(set(Split::Valid)),
        test: Some(set(Split::Test)),
        warnings: Vec::new(),
    }
}

/// Draws scene `index` of a split.
pub(crate) fn draw(split: Split, index: usize) -> Scene {
    let rng = &mut Draws::new(SEED, 3 * index as u64 + split as u64);
    let ground = color(rng);
    let mut samples = striped(ground, rng);
    let mut mask = vec![0; SIDE * SIDE];
    for _ in 0..SHAPES[0] + rng.below(SHAPES[1] + 1) {
        Shape::random(ground, rng).paint(&mut samples, &mut mask);
    }
    let noise = rng.between(NOISE);
    let pixels = samples.into_iter().map(|sample| {
        let sample = sample + noise * rng.bell();
        (sample.clamp(0.0, 1.0) * 255.0).round() as u8
    });
    Scene {
        pixels: pixels.collect(),
        mask,
    }
}

fn color(rng: &mut Draws) -> [f32; 3] {
    [0; 3].map(|_| rng.between([0.1, 0.9]))
}

/// The ground: a colour with stripes of any direction and width, `[3, h, w]` flattened.
fn striped(color: [f32; 3], rng: &mut Draws) -> Vec<f32> {
    let (sin, cos) = rng.angle(180.0);
    let (cycles, phase) = (rng.between([0.05, 0.2]), rng.unit());
    let strength = rng.between([0.0, STRIPES]);
    let wave = |[x, y]: [f32; 2]| {
        let turns = f64::from(cycles * (cos * x + sin * y) + phase);
        strength * (std::f64::consts::TAU * turns).sin() as f32
    };
    let waves: Vec<f32> = (0..SIDE * SIDE).map(|at| wave(centre(at))).collect();
    let plane = |channel: f32| waves.iter().map(move |wave| channel + wave);
    color.into_iter().flat_map(plane).collect()
}

/// The centre of a pixel, which are numbered in rows.
fn centre(at: usize) -> [f32; 2] {
    [(at % SIDE) as f32 + 0.5, (at / SIDE) as f32 + 0.5]
}

#[derive(Clone, Copy)]
enum Outline {
    Disc,
    Square,
    Triangle,
    Ring,
}

impl Outline {
    /// From class 1 on.
    const NUMBERED: [Self; 4] = [Self::Disc, Self::Square, Self::Triangle, Self::Ring];

    /// How far a point lies outside, in shares of the radius; below 0 inside.
    fn distance(self, [x, y]: [f32; 2]) -> f32 {
        let from_middle = (x * x + y * y).sqrt();
        match self {
            Self::Disc => from_middle - 0.95,
            // Corners at a distance of about 1.2, so that its area is near the disc's.
            Self::Square => x.abs().max(y.abs()) - 0.85,
            // Three half planes at 120 degrees; 0.866 is their normals' sine.
            Self::Triangle => y.max(0.866 * x - 0.5 * y).max(-0.866 * x - 0.5 * y) - 0.68,
            Self::Ring => (from_middle - 1.0).max(0.5 - from_middle),
        }
    }
}

struct Shape {
    class: u8,
    outline: Outline,
    centre: [f32; 2],
    radius: f32,
    /// Sine and cosine of its rotation.
    turn: (f32, f32),
    color: [f32; 3],
    /// Change of brightness from the middle to the right and the lower end.
    shade: [f32; 2],
}

impl Shape {
    fn random(ground: [f32; 3], rng: &mut Draws) -> Self {
        let number = rng.below(Outline::NUMBERED.len());
        Self {
            class: number as u8 + 1,
            outline: Outline::NUMBERED[number],
            centre: [0; 2].map(|_| rng.between([4.0, SIDE as f32 - 4.0])),
            radius: rng.between(RADIUS),
            turn: rng.angle(180.0),
            color: unlike(ground, USUAL[number], rng),
            shade: [0; 2].map(|_| rng.around(SHADE)),
        }
    }

    /// Paints over what is there: a pixel on the outline is mixed of both and void.
    fn paint(&self, samples: &mut [f32], mask: &mut [u8]) {
        let (sin, cos) = self.turn;
        // No outline reaches farther than a square's corner or a triangle's, at 1.4 of the radius.
        let [columns, rows] = self.centre.map(|middle| {
            let reach = 1.4 * self.radius + 1.0;
            // A cast of a float to usize saturates at 0.
            (middle - reach) as usize..((middle + reach) as usize + 1).min(SIDE)
        });
        for at in rows.flat_map(|row| columns.clone().map(move |column| row * SIDE + column)) {
            let [x, y] = centre(at);
            let [x, y] = [x - self.centre[0], y - self.centre[1]].map(|v| v / self.radius);
            let turned = [cos * x + sin * y, cos * y - sin * x];
            let outside_pixels = self.outline.distance(turned) * self.radius;
            let covered = (0.5 - outside_pixels).clamp(0.0, 1.0);
            if covered == 0.0 {
                continue;
            }
            mask[at] = if covered == 1.0 { self.class } else { VOID };
            let shade = self.shade[0] * x + self.shade[1] * y;
            for (channel, color) in self.color.iter().enumerate() {
                let sample = &mut samples[channel * SIDE * SIDE + at];
                *sample += covered * (color + shade - *sample);
            }
        }
    }
}

/// A colour near the usual one that can be told from the ground's.
fn unlike(ground: [f32; 3], usual: [f32; 3], rng: &mut Draws) -> [f32; 3] {
    loop {
        let color = usual.map(|channel| (channel + rng.around(UNUSUAL)).clamp(0.0, 1.0));
        let apart = ground.iter().zip(&color).map(|(a, b)| (a - b).abs());
        if apart.fold(0.0, f32::max) >= LEAST_CONTRAST {
            return color;
        }
    }
}
