// What the server thinks of a portrait, in the page's language.

/** @typedef {{ code: string, severity: string, message: string, advice: string }} Reason */

/** By code: what is seen, and what would help. @type {Record<string, [string, string]>} */
export const CHINESE = {
  no_face: ["没有找到人脸。", "请使用一张正对镜头的单人或单个角色的图片。"],
  several_faces: ["图片中有多张人脸。", "请裁剪图片，只保留一张脸。"],
  other_faces: ["主脸旁边较小的人脸已忽略。", "如果它们跟着动，请把它们裁掉。"],
  turned_too_far: ["头部侧转太多。", "请使用能看到双眼和整个嘴巴的图片。"],
  turned: ["头部略微侧转。", "正面图片的动作更自然。"],
  too_small: ["人脸太小。", "请使用更大的图片，或裁剪得离头部更近。"],
  small: ["人脸较小，画面会偏软。", "请使用脸宽至少 200 像素的图片。"],
  too_dark: ["人脸太暗。", "请使用脸部光线更充足的图片。"],
  dark: ["人脸偏暗。", "光线更亮效果更好。"],
  blurred: ["人脸不够清晰。", "请使用更清晰的图片。"],
  mouth_wide_open: ["嘴巴张得很大。", "闭着嘴的图片说话效果好得多。"],
  mouth_open: ["露出了牙齿。", "闭着嘴的图片说话效果略好。"],
  mouth_unclear: ["在画中没有找到嘴巴。", "嘴巴和下巴画得清楚、没有遮挡会有帮助。"],
  eyes_covered: ["眼睛被遮住：数字人不会眨眼。", "不戴墨镜会更生动。"],
  cartoon_eyes: ["绘制的眼睛不够清楚：数字人不会眨眼。", "虹膜周围有眼白、线条周围是皮肤、没有头发遮挡会有帮助。"],
  boxed_eyes: ["绘制的眼睛不够清楚：会眨眼，但不会转动。", "虹膜周围有眼白、线条周围是皮肤、没有头发遮挡会有帮助。"],
  glasses: ["戴着眼镜：眉毛动作较小，以免镜框跟着动。", "无需处理。"],
  cut_off: ["人脸被图片边缘截断。", "请使用头部四周留有空间的图片。"],
  not_human: ["这不像人脸。", "人和类人角色可以说话，动物暂时不行。"],
};

/**
 * The reasons as the page's reader understands them; those that only the server knows stay.
 * @param {Reason[]} reasons
 * @param {"en" | "zh"} language
 * @returns {Reason[]}
 */
export function inLanguage(reasons, language) {
  return reasons.map((reason) => {
    const [message, advice] = (language === "zh" && CHINESE[reason.code]) || [
      reason.message,
      reason.advice,
    ];
    return { ...reason, message, advice };
  });
}
