"""The words of the demo's catalogs."""

# category: {subcategory: nouns that its titles use}
CATEGORIES: dict[str, dict[str, tuple[str, ...]]] = {
    "cooking": {
        "baking": ("sourdough", "tart", "brioche", "cake"),
        "grilling": ("brisket", "skewer", "barbecue", "marinade"),
        "noodles": ("ramen", "udon", "broth", "dumpling"),
        "preserves": ("pickle", "jam", "chutney", "ferment"),
    },
    "travel": {
        "cities": ("rooftop", "tram", "market", "boulevard"),
        "islands": ("lagoon", "reef", "harbour", "ferry"),
        "trains": ("sleeper", "platform", "railway", "viaduct"),
        "camping": ("tent", "campfire", "trail", "lantern"),
    },
    "sports": {
        "football": ("penalty", "striker", "derby", "keeper"),
        "cycling": ("peloton", "climb", "gravel", "sprint"),
        "climbing": ("boulder", "ridge", "belay", "summit"),
        "swimming": ("freestyle", "relay", "pool", "medley"),
    },
    "music": {
        "piano": ("nocturne", "sonata", "prelude", "etude"),
        "guitar": ("riff", "fingerstyle", "chord", "solo"),
        "choirs": ("chorale", "madrigal", "hymn", "canon"),
        "synths": ("sequencer", "arpeggio", "oscillator", "drone"),
    },
    "gaming": {
        "strategy": ("siege", "empire", "tactic", "hexmap"),
        "racing": ("lap", "drift", "circuit", "kart"),
        "puzzles": ("maze", "riddle", "cipher", "block"),
        "roleplay": ("quest", "dungeon", "paladin", "tavern"),
    },
    "science": {
        "space": ("comet", "orbit", "nebula", "telescope"),
        "oceans": ("plankton", "abyss", "current", "coral"),
        "fossils": ("ammonite", "skeleton", "amber", "mammoth"),
        "robots": ("gripper", "rover", "sensor", "automaton"),
    },
    "fashion": {
        "sneakers": ("sole", "trainer", "lace", "runner"),
        "tailoring": ("blazer", "lapel", "tweed", "waistcoat"),
        "knitwear": ("cardigan", "scarf", "merino", "stitch"),
        "vintage": ("denim", "bomber", "corduroy", "brooch"),
    },
    "garden": {
        "vegetables": ("tomato", "squash", "allotment", "seedling"),
        "roses": ("rosebed", "arbour", "petal", "rambler"),
        "bonsai": ("juniper", "maple", "moss", "pruning"),
        "beekeeping": ("hive", "honeycomb", "smoker", "swarm"),
    },
    "crafts": {
        "pottery": ("glaze", "kiln", "vase", "stoneware"),
        "woodwork": ("dovetail", "bench", "lathe", "veneer"),
        "sewing": ("quilt", "seam", "apron", "pattern"),
        "origami": ("crane", "fold", "lotus", "tessellation"),
    },
    "pets": {
        "dogs": ("puppy", "terrier", "retriever", "agility"),
        "cats": ("kitten", "tabby", "whisker", "siamese"),
        "birds": ("parrot", "finch", "aviary", "budgie"),
        "aquariums": ("tetra", "shrimp", "aquascape", "guppy"),
    },
    "finance": {
        "saving": ("budget", "envelope", "piggybank", "ledger"),
        "investing": ("index", "bond", "dividend", "portfolio"),
        "housing": ("mortgage", "cottage", "lease", "survey"),
        "taxes": ("receipt", "refund", "deduction", "filing"),
    },
    "cinema": {
        "comedy": ("farce", "sketch", "parody", "sitcom"),
        "horror": ("haunting", "vampire", "cellar", "scream"),
        "animation": ("storyboard", "claymation", "cartoon", "inkwork"),
        "documentary": ("archive", "interview", "expedition", "portrait"),
    },
}
CATEGORY_NAMES = tuple(CATEGORIES)
SUBCATEGORY_NAMES = tuple(sub for subs in CATEGORIES.values() for sub in subs)
SUBCATEGORIES_PER_CATEGORY = 4

# Ordered around a circle: the mood of a title is the direction of its item's content vector, the one thing
# about content that text can show.
MOODS = (
    "calm", "gentle", "cosy", "warm", "bright", "playful", "lively", "bold",
    "wild", "fierce", "raw", "dark", "stark", "cold", "spare", "quiet",
)  # fmt: skip
CLOSINGS = (
    "for beginners", "in ten minutes", "step by step", "from scratch", "behind the scenes", "at home",
    "on a budget", "the full story", "what nobody tells you", "a weekend project", "explained", "live",
)  # fmt: skip

BRAND_HEADS = ("north", "blue", "iron", "silver", "oak", "river", "stone", "sun", "fern", "lark")
BRAND_TAILS = ("works", "field", "house", "lane")
BRANDS = tuple(head + tail for head in BRAND_HEADS for tail in BRAND_TAILS)

COUNTRIES = ("de", "us", "jp", "br", "in", "ng", "fr", "kr")
SEGMENTS = ("newcomer", "casual", "regular", "devoted")
DEVICES = ("phone", "tablet", "desktop")
SURFACES = ("home", "browse", "related")
