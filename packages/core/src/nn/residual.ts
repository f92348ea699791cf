import { TuttiError } from "../errors/index.ts";
import { sameShape, shapeToString, type Tensor } from "../graph/index.ts";
import { type Module, module } from "./module.ts";

/** shortcut(x) + body(x) (He et al. 2015); without a shortcut x + body(x). Children: body, shortcut. */
export function residual(body: Module, shortcut?: Module): Module {
  const children: Readonly<Record<string, Module>> = { body, ...(shortcut !== undefined && { shortcut }) };
  return module({
    kind: "residual",
    children,
    forward(_self, x: Tensor) {
      const [y, around] = [body(x), shortcut === undefined ? x : shortcut(x)];
      if (!sameShape(y.shape, around.shape)) {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${x.graph.at("residual")}: the body gives ${shapeToString(y.shape)}, the shortcut ${shapeToString(around.shape)}: expected the same`,
        );
      }
      return around.add(y);
    },
  });
}
