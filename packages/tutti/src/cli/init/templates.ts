/** What `tutti init` can make. */
export const templateNames = ["tabular", "images", "text", "onnx-finetune"] as const;
export type TemplateName = (typeof templateNames)[number];

export interface Template {
  readonly describe: string;
  /** Packages that its run file imports besides tutti. */
  readonly dependencies: Readonly<Record<string, string>>;
  /** Whether it comes with images of shapes, which are drawn and not copied. */
  readonly hasShapes: boolean;
}

const sharp = { sharp: "^0.35.5" };

export const templates: Readonly<Record<TemplateName, Template>> = {
  tabular: { describe: "classify the rows of a table", dependencies: {}, hasShapes: false },
  images: { describe: "classify images, one folder a class", dependencies: sharp, hasShapes: true },
  text: { describe: "write text, a character at a time", dependencies: {}, hasShapes: false },
  "onnx-finetune": { describe: "train an .onnx file further, for other classes", dependencies: sharp, hasShapes: true },
};
