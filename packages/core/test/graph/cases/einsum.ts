import { type CaseTable, type GradientCase, of } from "../gradient-case.ts";

const twice = (cases: readonly GradientCase[]): readonly GradientCase[] =>
  cases.flatMap((item) => [item, { ...item, name: `${item.name}, exactly`, oracle: "linear" as const }]);

function equation(text: string, ...inputs: GradientCase["inputs"]): GradientCase {
  return { name: text, inputs, attributes: { equation: text } };
}

export const einsum: CaseTable = {
  ":Einsum": twice([
    equation("ij,jk->ik", of(2, 3), of(3, 4)),
    equation("ij , jk", of(2, 3), of(3, 4)),
    equation("ba,cb", of(2, 3), of(4, 2)),
    equation("bhid,bhjd->bhij", of(2, 2, 3, 2), of(2, 2, 4, 2)),
    equation("bij,kj->bki", of(2, 3, 2), of(4, 2)),
    equation("i,j->ij", of(3), of(2)),
    equation("i,i->", of(4), of(4)),
    equation("ij->ji", of(2, 3)),
    equation("ijk->j", of(2, 3, 2)),
    equation("ii->i", of(3, 3)),
    equation("ii", of(3, 3)),
    equation("iji->j", of(3, 2, 3)),
    equation("ii,ij->j", of(3, 3), of(3, 2)),
    equation("...ij,...jk->...ik", of(2, 1, 2, 3), of(1, 2, 3, 2)),
    equation("...ij,...jk", of(2, 2, 3), of(1, 3, 2)),
    equation("...ij,jk->...ik", of(2, 2, 2, 3), of(3, 2)),
    equation("i...,i->...", of(3, 2, 2), of(3)),
    equation("ij,jk,kl->il", of(2, 3), of(3, 2), of(2, 3)),
    equation("ij,ik->i", of(3, 2), of(3, 4)),
    equation("ij,j->ij", of(2, 1), of(3)),
  ]),
};
