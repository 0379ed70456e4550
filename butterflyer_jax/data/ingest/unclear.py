"""Words for photos that may show no butterfly, or one whose species is not known: in folders, labels and file names."""

from __future__ import annotations

import re

from butterflyer_jax.data.ingest.words import NO_LABEL, is_rank, listed, squeeze

# Laid beside a specimen, and photographed as well.
OF_SPECIMENS = frozenset(
    listed(
        """
    label labels etikett etiketten etikette etiquette etiquettes etiqueta etiquetas etichetta etichette barcode
    barcodes qrcode qrcodes colorchart colourchart colorchecker scalebar
    """
    )
)
# Where a butterfly lives.
AROUND = frozenset(
    listed(
        """
    habitat habitats lebensraum lebensräume biotop biotope biotopes hostplant hostplants foodplant foodplants larvalhost
    larvalhosts larvalfoodplant larvalfoodplants futterpflanze futterpflanzen raupenfutterpflanze raupenfutterpflanzen
    wirtspflanze wirtspflanzen plantehôte planteshôtes planthôte plantahospedera plantashospederas värdväxt värdväxter
    waardplant waardplanten landscape landscapes landschaft landschaften paysage paysages paisaje paisajes
    rangemap rangemaps distributionmap distributionmaps verbreitungskarte verbreitungskarten
    """
    )
)
# Beside folders of species they are none; "red flower" in the name of a file says where the butterfly sits.
OTHER_THINGS = frozenset(
    listed(
        """
    plant plants pflanzen plantes plantas flower flowers blumen blüten fleurs flores vegetation people persons team crew
    teamphotos groupphoto groupphotos selfie selfies personen
    """
    )
)
# A species that may be another. "unknown" is none of them: browsers and mail programs name files so.
DOUBTFUL = frozenset(
    listed(
        """
    unsure notsure uncertain unidentified wrong misidentified incorrect doubtful questionable ambiguous maybe unsicher
    fraglich falsch douteux incertain dudoso
    """
    )
)
# Folders that may hold photos without a butterfly.
_OF_NO_SPECIES = set(
    listed(
        """
    background backgrounds negative negatives none nothing nobutterfly nobutterflies notabutterfly notbutterfly
    nonbutterfly nonbutterflies noise backgroundgoogle clutter hintergrund empty blank novisit nospecies absent absence
    leer vide vuoto vacío vazio
    """
    )
) | (AROUND | OTHER_THINGS)
# Folders that may be one more class, or photos that were set aside.
_UNSURE = _OF_NO_SPECIES | set(
    listed(
        """
    other others misc miscellaneous various mixed unknown unknowns unidentified unclassified undetermined junk rest
    sample samples example examples demo extra extras additional newfolder untitled untitledfolder temp tmp backup
    backups bak copy kopie copies duplicate duplicates screenshot screenshots blurry blurred bad good rejected rejects
    reject excluded unused nan null na delete todelete toremove cover covers augmented augmentation augmentations aug
    synthetic generated clutter backgroundgoogle unsure notsure tbd
    noid notidentified notdetermined notsorted toidentify tobeidentified identify indet indetermined indeterminate
    hybrid hybrids hybride hybriden hybrides híbridos
    tobesorted nichtbestimmt nichtidentifiziert unidentifiziert nondéterminé nonidentifié noidentificado nd
    undet unidentifiable needsid unk unlabelled unlabeled multiple several ambiguous
    sent recentlydeleted timelinephotos profilepictures coverphotos mobileuploads untitledalbum picks outtakes
    favourites favorites favourite favorite favoriten favoris bestof best recents recent selected selection highlights
    screenshots collages edited edits archive archived album
    neuerordner ohnetitel sonstige sonstiges andere verschiedenes unbekannt unbestimmt unsortiert hintergrund
    nouveaudossier sanstitre autre autres divers inconnu inconnus inconnue inconnues
    nuevacarpeta otro otros otras desconocido desconocidos varios sintitulo sintítulo
    nuovacartella altri altro sconosciuto novapasta outros desconhecido nieuwemap overig overige onbekend
    """
    )
)
# Words beside those of doubt: "Unknown species", "espèce inconnue".
_ANY_BUTTERFLY = frozenset(
    listed(
        """
    species sp spp art arten falter falterart schmetterling schmetterlinge schmetterlingsart butterfly butterflies moth
    moths lepidoptera insect insects espèce espèces papillon papillons especie especies mariposa mariposas specie
    farfalla farfalle espécie espécies borboleta borboletas soort soorten vlinder vlinders art arter photo photos
    """
    )
)
# Those of doubt that are adjectives there.
_OF_ANY = frozenset(
    listed(
        """
    unlabelled unlabeled unbekannte unbekannter unbestimmte unbestimmter unidentifizierte andere sonstige desconocida
    desconocidas desconhecida desconhecidas sconosciuta sconosciute onbekende okänd okända ukendt ukjent
    """
    )
)
# Folders below a species whose photos may not be of it.
_DOUBTED = frozenset(
    listed(
        """
    unsure notsure uncertain unknown unidentified undetermined wrong misidentified incorrect bad rejected rejects reject
    excluded delete todelete toremove toidentify tobeidentified tocheck check doubtful questionable ambiguous other
    others misc mixed various notthis maybe unsicher fraglich falsch unbestimmt andere douteux incertain dudoso
    """
    )
)


def is_unsure(folder: str) -> bool:
    """Returns whether a folder's name may be that of a class or of photos that were set aside."""
    return _without_numbers(folder) in _UNSURE or folder.strip() == NO_LABEL or _is_unknown_kind(folder)


def _is_unknown_kind(label: str) -> bool:
    """Returns whether a label is words of doubt and for any butterfly: "Unknown species", "indet. Lycaenidae"."""
    parts = re.findall(r"[^\W\d_]+", label)
    rest = [part for part in parts if squeeze(part) not in _ANY_BUTTERFLY and not is_rank(part)]
    return 0 < len(rest) < len(parts) and "".join(map(squeeze, rest)) in _UNSURE | _OF_ANY


def is_doubted(folder: str) -> bool:
    """Returns whether the name of a folder below a species says that its photos may not be of that species."""
    return _without_numbers(folder) in _DOUBTED | AROUND | OF_SPECIMENS


def is_of_no_species(folder: str) -> bool:
    """Returns whether a folder's name may be that of photos without a butterfly; `is_unsure` is true as well."""
    return _without_numbers(folder) in _OF_NO_SPECIES


def _without_numbers(folder: str) -> str:
    """Returns a folder's name without a number before or after it: "257.clutter", "New folder (2)"."""
    return re.sub(r"^\d+|\d+$", "", squeeze(folder))
