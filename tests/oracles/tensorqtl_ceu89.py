"""Make tensorqtl_ceu89.csv: tensorQTL's lead variants of study `ceu89`, once, elsewhere.

    pip install tensorqtl==1.0.10 pandas==2.3.3
    python tensorqtl_ceu89.py FOLDER     the fetched files of ceu89

Every variant within 100 kb of a gene's place (as the study has it), frequency 0.05 and more, at
most 5 % missing, missing calls as the variant's mean; the workflow's twelve covariates; float32.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from tensorqtl import cis

folder = Path(sys.argv[1])
dosages = pd.read_csv(folder / "LCL.dose.tsv.gz", sep="\t", dtype={"CHROM": str})
dosages = dosages.drop_duplicates(["CHROM", "POS", "REF", "ALT"])
names = dosages[["CHROM", "POS", "REF", "ALT"]].astype(str).agg(":".join, axis=1)
values = dosages.iloc[:, 4:].set_axis(names).replace(-1, np.nan)
values = values[values.isna().mean(axis=1) <= 0.05]
values = values.apply(lambda row: row.fillna(row.mean()), axis=1)
frequency = values.mean(axis=1) / 2
values = values[np.minimum(frequency, 1 - frequency) >= 0.05]
sites = dosages[["CHROM", "POS"]].set_axis(names).loc[values.index]
sites = sites.rename(columns={"CHROM": "chrom", "POS": "pos"})

people = pd.read_csv(folder / "GEUVADIS_sample_metadata.tsv", sep="\t")
people = people.set_index("sample_id")["genotype_id"]
expression = pd.read_csv(folder / "GEUVADIS_cqn.tsv", sep="\t", index_col=0)
expression = expression.rename(columns=people)[values.columns]
genes = pd.read_csv(folder / "GEUVADIS_phenotype_metadata.tsv", sep="\t", dtype={"chromosome": str})
genes = genes.set_index("gene_id")
places = pd.DataFrame({"chr": genes["chromosome"], "pos": genes["phenotype_pos"]})
order = places.loc[expression.index].sort_values(["chr", "pos"]).index
covariates = pd.read_csv(folder / "GEUVADIS_test_ge.covariates.txt", sep="\t", index_col=0)

nominal = []
for chrom in places.loc[order, "chr"].unique():
    cis.map_nominal(
        values[sites["chrom"] == chrom],
        sites[sites["chrom"] == chrom],
        expression.loc[[g for g in order if places.loc[g, "chr"] == chrom]],
        places.loc[[g for g in order if places.loc[g, "chr"] == chrom]],
        "ceu89",
        covariates_df=covariates.T.loc[values.columns],
        window=100_000,
        output_dir=str(folder),
        verbose=False,
    )
    nominal.append(pd.read_parquet(folder / f"ceu89.cis_qtl_pairs.{chrom}.parquet"))
table = pd.concat(nominal, ignore_index=True)
lead = table.loc[table.groupby("phenotype_id")["pval_nominal"].idxmin().sort_values()]
counts = table.groupby("phenotype_id").size()
lead = lead.assign(variants=counts.loc[lead["phenotype_id"]].to_numpy())
columns = ["phenotype_id", "variant_id", "variants", "slope", "slope_se", "pval_nominal"]
lead = lead.sort_values("phenotype_id")[columns]
lead.to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.6g")
